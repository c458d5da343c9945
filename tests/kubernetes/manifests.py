"""manifests: what the chart and the plain files say, rendered by Helm's own engine and kustomize, and checked against
Kubernetes' schemas."""
import json
import pathlib
import subprocess

import helm_python as helm
import kubernetes_validate
import yaml

CHART = "docker/helm/carousel"
PLAIN = "docker/kubernetes"
# Values that switch everything on, so that every line of the templates is rendered.
EVERYTHING = {
    "replicaCount": 3, "imagePullSecrets": [{"name": "registry"}], "priorityClassName": "high",
    "config": {"scheduler": {"workers": 2}, "limits": {"body_bytes": 10485760}, "log": {"access": False}},
    "auth": {"existingSecret": "carousel-keys"}, "seal": {"existingSecret": "carousel-seal"},
    "podAnnotations": {"a": "b"}, "podLabels": {"team": "forecasts"},
    "serviceAccount": {"annotations": {"a": "b"}},
    "service": {"type": "LoadBalancer", "port": 8080, "annotations": {"a": "b"}},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}], "hostnames": ["carousel.example.org"],
                  "annotations": {"a": "b"}},
    "autoscaling": {"enabled": True, "targetQueueDepth": 8},
    "podDisruptionBudget": {"maxUnavailable": "25%"},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"},
                       "authorization": {"name": "metrics-key", "key": "token"}},
    "networkPolicy": {"enabled": True, "egress": True, "from": [{"podSelector": {"matchLabels": {"app": "proxy"}}}]},
    "nodeSelector": {"kubernetes.io/arch": "arm64"}, "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname",
                                          "labelSelector": {"matchLabels": {"app": "carousel"}}}}]}},
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
                                   "whenUnsatisfiable": "ScheduleAnyway"}],
    "extraEnv": [{"name": "CAROUSEL_MODELS_POLL_S", "value": "10"}],
    "volumes": [{"name": "tls", "secret": {"secretName": "tls"}}],
    "volumeMounts": [{"name": "tls", "mountPath": "/etc/carousel/tls", "readOnly": True}],
}
# The names that `helm create` gives a chart, without `ingress`: Gateway API is in its place.
CREATED = {
    "replicaCount": 1, "image": {"repository": "carousel", "pullPolicy": "IfNotPresent", "tag": ""},
    "imagePullSecrets": [], "nameOverride": "", "fullnameOverride": "",
    "serviceAccount": {"create": True, "automount": True, "annotations": {}, "name": ""},
    "podAnnotations": {}, "podLabels": {}, "podSecurityContext": {}, "securityContext": {},
    "service": {"type": "ClusterIP", "port": 80}, "httpRoute": {"enabled": False, "annotations": {}},
    "resources": {}, "livenessProbe": {}, "readinessProbe": {},
    "autoscaling": {"enabled": False, "minReplicas": 1, "maxReplicas": 100, "targetCPUUtilizationPercentage": 80},
    "volumes": [], "volumeMounts": [], "nodeSelector": {}, "tolerations": [], "affinity": {},
}
SOURCES = {
    "image": {"image": {"reference": "registry.example.org/bundles:1"}},
    "persistentVolumeClaim": {"persistentVolumeClaim": {"claimName": "models", "subPath": "bundles"}},
    "init": {"init": {"image": "registry.example.org/fetch:1", "command": ["/fetch"], "args": ["--to", "/models"],
                      "env": [{"name": "TOKEN", "value": "x"}]}},
    "configMap": {"configMap": {"name": "numbers", "model": "numbers"}},
}
# Each must be refused, with a sentence that holds the word.
MISTAKES = [
    ({"replicas": 3}, "replicas"),
    ({"replicaCount": -1}, "replicaCount"),
    ({"models": {"source": "pvc"}}, "source"),
    ({"models": {"zoo": False}}, "models"),
    ({"models": {"source": "image"}}, "models.image.reference"),
    ({"models": {"source": "persistentVolumeClaim"}}, "claimName"),
    ({"models": {"source": "configMap", "configMap": {"name": "x"}}}, "configMap.model"),
    ({"models": {"source": "init"}}, "models.init.image"),
    ({"config": {"server": {"drain_delay_s": 3}}}, "drain_delay_s"),
    ({"config": {"scheduler": {"Workers": 3}}}, "Workers"),
    ({"config": {"schedular": {"workers": 3}}}, "schedular"),
    ({"config": {"sessions": {"seal_keys_file": "x"}}}, "seal_keys_file"),
    ({"httpRoute": {"enabled": True}}, "parentRefs"),
    ({"service": {"port": "http"}}, "port"),
]


def render(values=None):
    """The objects that the chart makes, in the order of the templates."""
    texts = helm.Chart.load(CHART).render(values or {}, name="carousel", namespace="models")
    return [item for path, text in sorted(texts.items()) if path.endswith(".yaml")
            for item in yaml.safe_load_all(text) if item]


def lint():
    return helm.lint(CHART, strict=True)


def mistake(values):
    """The sentence with which the chart refuses values, None if it takes them."""
    chart = helm.Chart.load(CHART)
    try:
        chart.validate_schema(values)
        chart.render(values, name="carousel", namespace="models")
        return None
    except helm.HelmError as error:
        return str(error)


def versions():
    """From the oldest that the chart names to the newest that there are schemas of."""
    oldest = yaml.safe_load(pathlib.Path(CHART, "Chart.yaml").read_text())["kubeVersion"].lstrip(">=").split(".")
    return [v for v in dict.fromkeys(kubernetes_validate.utils.all_versions())
            if [int(part) for part in v.split("-")[0].split(".")[:2]] >= [int(part) for part in oldest[:2]]]


def is_custom(item):
    return item["kind"] in ("HTTPRoute", "ServiceMonitor")


def custom_faults(objects, checker):
    """What the schemas of their CRDs refuse of objects that Kubernetes itself does not know."""
    done = subprocess.run(["node", checker], input=json.dumps(objects), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def faults(objects, version):
    """What Kubernetes' own schema refuses, field names that it does not know included, and how many it knew."""
    found, known = [], 0
    for item in objects:
        try:
            kubernetes_validate.validate(item, version, strict=True)
            known += 1
        except kubernetes_validate.ValidationError as error:
            found.append(f"{item['kind']}: {error.message[:200]}")
        except kubernetes_validate.SchemaNotFoundError:
            if not is_custom(item):
                found.append(f"{item['kind']}: no schema")
    return found, known


def kustomized(folder):
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def plain_of_chart():
    """The chart with its defaults as plain files: without what only Helm needs."""
    objects = [item for item in render({"fullnameOverride": "carousel"})
               if "helm.sh/hook" not in item["metadata"].get("annotations", {})]
    for item in objects:
        for labels in (item["metadata"].get("labels", {}),
                       item.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})):
            for label in ("helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version",
                          "app.kubernetes.io/instance"):
                labels.pop(label, None)
        for selector in selectors(item):
            selector.pop("app.kubernetes.io/instance", None)
    return objects


def selectors(item):
    spec = item.get("spec", {})
    selector = spec.get("selector", {})
    return [selector.get("matchLabels", selector)] if selector else []


def write_plain():
    for item in plain_of_chart():
        path = pathlib.Path(PLAIN, item["kind"].lower() + ".yaml")
        path.write_text(f"# Written by tests/kubernetes/check.py --write from the chart in {CHART}.\n" +
                        yaml.safe_dump(item, sort_keys=False))
        print(f"wrote {path}")


def same(a, b):
    order = [json.dumps(sorted(objects, key=lambda item: item["kind"]), sort_keys=True) for objects in (a, b)]
    return order[0] == order[1]
