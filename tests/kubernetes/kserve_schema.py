"""kserve_schema: KServe's own description of its objects, as its SDK for Python brings it.

The SDK's classes are made from the same types as the CRDs. Each names its fields with their types; they are read
here without being imported, because the SDK wants many packages."""
import ast
import pathlib
import re

import kubernetes_validate

PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float), "object": object}


class Schema:
    def __init__(self, folder):
        self.models = {}
        for path in pathlib.Path(folder, "kserve/models").glob("*.py"):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    found = {t.targets[0].id: ast.literal_eval(t.value) for t in node.body
                             if isinstance(t, ast.Assign) and t.targets[0].id in ("openapi_types", "attribute_map")}
                    if len(found) == 2:
                        self.models[node.name] = {found["attribute_map"][k]: kind
                                                  for k, kind in found["openapi_types"].items()}

    def faults(self, value, kind, place=""):
        """What of a value is not as the type says."""
        if found := re.fullmatch(r"list\[(.*)\]", kind):
            if not isinstance(value, list):
                return [f"{place}: expected a list"]
            return [f for i, item in enumerate(value) for f in self.faults(item, found[1], f"{place}[{i}]")]
        if found := re.fullmatch(r"dict\(str, (.*)\)", kind):
            if not isinstance(value, dict):
                return [f"{place}: expected an object"]
            return [f for k, item in value.items() for f in self.faults(item, found[1], f"{place}.{k}")]
        if kind in PLAIN:
            return [] if isinstance(value, PLAIN[kind]) else [f"{place}: expected {kind}"]
        if kind in self.models:
            fields = self.models[kind]
            return [f for k, item in value.items() for f in
                    (self.faults(item, fields[k], f"{place}.{k}") if k in fields else [f"{place}.{k} is unknown"])]
        return self.kubernetes_faults(value, kind, place)

    @staticmethod
    def kubernetes_faults(value, kind, place):
        """Of a type of Kubernetes: containers are held against the schema of a pod."""
        if kind not in ("V1Container", "V1ObjectMeta"):
            return [f"{place}: there is no schema of {kind} here"]
        container = value if kind == "V1Container" else {"name": "x"}
        metadata = value if kind == "V1ObjectMeta" else {"name": "x"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
        try:
            kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
            return []
        except kubernetes_validate.ValidationError as error:
            return [f"{place}: {error.message[:200]}"]
