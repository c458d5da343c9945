#!/bin/sh
# sbom.sh ARCH ROOT PROGRAM VERSION: print what an image holds, as SPDX 2.3 in JSON: the program, and the Debian
# packages of the libraries whose paths stdin lists, one a line. ROOT is the image's file system; the
# document's name space is made from the sum of its files, so that the same image has the same list.
set -eu
arch=$1 root=$2 program=$3 version=$4
created=$(date -u -d "@${SOURCE_DATE_EPOCH:-0}" +%Y-%m-%dT%H:%M:%SZ)
sum=$(cd "$root" && find . -type f ! -name libraries -exec sha256sum {} + | LC_ALL=C sort | sha256sum | cut -c 1-32)
. /etc/os-release

# The packages, one a line: name, version, source. Their owner may be known by the old path, without /usr.
packages=$(while read -r path; do
    dpkg-query -S "$path" 2>/dev/null || dpkg-query -S "${path#/usr}"
done | sed 's/: .*//' | sort -u | while read -r package; do
    # shellcheck disable=SC2016
    dpkg-query -W -f '${Package} ${Version} ${source:Package}\n' "$package"
done)

cat <<END
{"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
 "name": "$program-$version-$arch", "documentNamespace": "https://spdx.org/spdxdocs/carousel-$sum",
 "creationInfo": {"created": "$created", "creators": ["Tool: carousel-docker/sbom.sh"]},
 "packages": [
  {"SPDXID": "SPDXRef-carousel", "name": "$program", "versionInfo": "$version", "downloadLocation": "NOASSERTION",
   "filesAnalyzed": false, "licenseConcluded": "NOASSERTION", "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION",
   "primaryPackagePurpose": "APPLICATION",
   "checksums": [{"algorithm": "SHA256", "checksumValue": "$(sha256sum "$root/usr/bin/$program" | cut -d ' ' -f 1)"}]}
END
echo "$packages" | while read -r name number source; do
    cat <<END
  ,{"SPDXID": "SPDXRef-deb-$(echo "$name" | tr -c 'a-zA-Z0-9.\n-' -)", "name": "$name", "versionInfo": "$number",
   "supplier": "Organization: Debian", "downloadLocation": "NOASSERTION", "filesAnalyzed": false,
   "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
   "sourceInfo": "built from the Debian source package $source", "primaryPackagePurpose": "LIBRARY",
   "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
    "referenceLocator": "pkg:deb/debian/$(echo "$name" | sed 's/+/%2B/g')@$(echo "$number" | sed 's/+/%2B/g;s/:/%3A/g')?arch=$arch&distro=$ID-$VERSION_ID"}]}
END
done
cat <<END
 ],
 "relationships": [
  {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-carousel"}
END
echo "$packages" | while read -r name number source; do
    # A script for browsers is part of the program; a library is loaded by it.
    case $name in libjs-*) relation=CONTAINS ;; *) relation=DYNAMIC_LINK ;; esac
    echo "  ,{\"spdxElementId\": \"SPDXRef-carousel\", \"relationshipType\": \"$relation\"," \
        "\"relatedSpdxElement\": \"SPDXRef-deb-$(echo "$name" | tr -c 'a-zA-Z0-9.\n-' -)\"}"
done
echo " ]}"
