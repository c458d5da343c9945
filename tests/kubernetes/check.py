#!/usr/bin/env python3
"""check.py FOLDER ENVOY KSERVE CUSTOM_RESOURCES | check.py --write: the chart, the plain manifests, and what they start.

The chart is rendered by Helm's own engine and held against Kubernetes' schemas, version by version, and CUSTOM_RESOURCES
holds what Kubernetes does not know against the schemas of Gateway API and Prometheus' operator. Then its
Deployment is started as the kubelet would start it, with a Service, HAProxy and Envoy in front, and rolled, scaled out,
scaled in and shot at under load. The files for KServe are held against the types of its SDK, which lies in KSERVE, and
started too, and so is the one for Knative. Ends with a line like the one that check prints. --write brings docker/kubernetes
up to date with the chart."""
import asyncio
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

import yaml

sys.path.insert(0, "tests/replicas")
import fleet  # noqa: E402
import kserve_schema  # noqa: E402
import kubelet  # noqa: E402
import manifests  # noqa: E402
from fleet import expect  # noqa: E402

SLOTS, CLIENTS, SESSIONS, PART = 6, 4, 20, 8
BUNDLES = pathlib.Path("tests/http/bundles").resolve()
# What a user would write: models from an image volume, keys in a Secret.
VALUES = {"replicaCount": 2, "models": {"zoo": False, "source": "image", "image": {"reference": "bundles:1"}},
          "auth": {"existingSecret": "keys"}, "seal": {"existingSecret": "seal"}, "config": {"scheduler": {"workers": 1}, "models": {"poll_s": 1}}}


def deployment_of(values):
    return next(item for item in manifests.render(values) if item["kind"] == "Deployment")


def check_custom_resources(objects, checker):
    kinds = sorted({item["kind"] for item in objects})
    faults = manifests.custom_faults(objects, checker)
    expect(f"{', '.join(kinds)}: {len(objects)} objects fit the schemas of their CRDs",
           kinds == ["HTTPRoute", "ServiceMonitor"] and not faults, faults)
    for item, wrong in zip(objects, ({"rulez": []}, {"hostnames": "carousel.example.org"})):
        changed = {**item, "spec": {**item["spec"], **wrong}}
        expect(f"{list(wrong)[0]} would be noticed", manifests.custom_faults([changed], checker))


def check_manifests(checker):
    report = manifests.lint()
    expect("helm lint finds nothing", not [m for m in report["messages"] if m["severity"] > 1], report)
    cases = {"the defaults": {}, "the names of helm create": manifests.CREATED,
             "everything": manifests.EVERYTHING, "the kubelet's": VALUES,
             **{f"models from {name}": {"models": {"source": name, **values}}
                for name, values in manifests.SOURCES.items()}}
    custom = [item for values in cases.values() for item in manifests.render(values) if manifests.is_custom(item)]
    check_custom_resources(custom, checker)
    for version in manifests.versions():
        found, known = [], 0
        for name, values in cases.items():
            objects = manifests.render(values)
            if version < "1.31" and "image" in str(values.get("models")):
                continue  # image volumes are younger
            bad, good = manifests.faults(objects, version)
            found += [f"{name}: {fault}" for fault in bad]
            known += good
        expect(f"Kubernetes {version}: {known} objects of the chart are valid", not found, found)
    for values in cases.values():
        expect("the chart knows these values", not manifests.mistake(values), manifests.mistake(values))
    for values, word in manifests.MISTAKES:
        said = manifests.mistake(values)
        expect(f"the chart refuses {values}", said and word in said, said)
    grace = deployment_of({"drain": {"delaySeconds": 7, "timeoutSeconds": 60}})["spec"]["template"]["spec"]
    expect("the grace period is delay, drain and 5 s", grace["terminationGracePeriodSeconds"] == 72)
    plain = manifests.kustomized(manifests.PLAIN)
    expect("docker/kubernetes is the chart with its defaults (check.py --write)",
           manifests.same(plain, manifests.plain_of_chart()))
    return deployment_of(VALUES)


def add_key(file, name):
    """A new API key in a file: the header that sends it."""
    done = subprocess.run([fleet.PROGRAM, "keys", "add", name, "--keys", file], capture_output=True, text=True, check=True)
    return {"Authorization": f"Bearer {done.stdout.split()[-1]}"}


def under_load(text, deployment, fronts, work, ports, headers, patient=True):
    """Do work() while clients ask through every front; how many answers were 200, and how many not."""
    async def run():
        over = asyncio.Event()
        service = kubelet.Service(deployment, ports[0])
        task = asyncio.create_task(service.run(over))
        await asyncio.sleep(0.2)
        loads = await fleet.under_load(ports, CLIENTS, work, headers)
        await asyncio.sleep(0.3)  # connections through the Service end
        over.set()
        await task
        return loads
    loads = asyncio.run(run())
    for name, load in zip(fronts, loads):
        good = load.bad() == 0 if patient else load.bad() <= CLIENTS * 4
        expect(f"{text}, {name}: {load.good()} answers, {load.bad()} not 200", good and load.good() > 20,
               (dict(load.statuses), load.faults.most_common(3)))


def scale(deployment):
    def work():
        deployment.scale(4)
        time.sleep(3)
        deployment.scale(2)
        time.sleep(1)
    return work


def kill(deployment):
    """A container that dies without a word is started again."""
    def work():
        time.sleep(1)
        pod = deployment.pods[0]
        pod.process.signal(9)
        end = time.monotonic() + fleet.START_S
        while (pod.starts < 2 or not pod.ready) and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(2)
    return work


class Carrier(threading.Thread):
    """A client that takes a text on from part to part with a sealed state, whichever pod answers."""

    def __init__(self, port, headers):
        super().__init__()
        self.port, self.headers, self.parts, self.over, self.fault = port, headers, [], threading.Event(), None

    def ask(self, body):
        answer = asyncio.run(fleet.ask(self.port, "POST", "/v1/completions", {**body, "model": "tiny-characters"}, self.headers))
        return answer[0], json.loads(answer[2])

    def run(self):
        going_on = {"prompt": "ab", "seed": 7}
        while not self.over.wait(0.2):
            status, said = self.ask({**going_on, "max_tokens": PART, "return_state": True})
            if status != 200:
                self.fault = said
                return
            self.parts.append(said["choices"][0]["text"])
            going_on = {"state": said["state"]}

    def in_one_piece(self, port):
        self.port = port
        return self.ask({"prompt": "ab", "seed": 7, "max_tokens": PART * len(self.parts)})[1]["choices"][0]["text"]


def carried(work, carriers):
    """Do work() while they write."""
    def both():
        for carrier in carriers:
            carrier.start()
        work()
        for carrier in carriers:
            carrier.over.set()
            carrier.join()
    return both


def begin_sessions(deployment, port, name, headers):
    """Sessions through a proxy, a step of each taken, and which of them are at a pod that will not be killed."""
    sessions = fleet.Sessions(port, name, SESSIONS, headers)
    sessions.create()
    answers = sessions.step_all()
    expect(f"{name}: {SESSIONS} sessions take a step each", all(good for good, _ in answers), answers[:3])
    homes = fleet.homes_of([pod.log for pod in deployment.pods], [request for _, request in answers])
    return sessions, [home not in (0, None) for home in homes]


def models_status(deployment, headers):
    """What every pod says to a request with a key."""
    return {asyncio.run(fleet.ask(pod.address, path="/v1/models", headers=headers))[0] for pod in deployment.pods}


def load(path):
    return yaml.safe_load(pathlib.Path(path).read_text())


def start_container(container, folder, values, models, environment=None):
    """A container outside of a Deployment: its address."""
    port = fleet.free_ports(1)[0]
    arguments = [a.replace("--host=0.0.0.0", "--host=127.0.0.1").replace("--port=8080", f"--port={port}")
                 for a in container["args"]]
    for old, new in {**values, **models}.items():
        arguments = [a.replace(old, new) for a in arguments]
    environment = {k: v.replace("8080", str(port)) for k, v in (environment or {}).items()}
    environment.update({v["name"]: v["value"] for v in container["env"]})
    fleet.Process([fleet.PROGRAM, *arguments], folder / "container.log", environment)
    return port


def check_kserve(folder, sdk):
    schema = kserve_schema.Schema(sdk)
    runtime, service = load("docker/kserve/servingruntime.yaml"), load("docker/kserve/inferenceservice.yaml")
    for item, kind in ((runtime, "V1alpha1ServingRuntime"), (service, "V1beta1InferenceService")):
        faults = schema.faults(item, kind)
        expect(f"{kind} has the fields and types of KServe's SDK", not faults, faults)
    expect("an unknown field would be noticed", schema.faults({"spec": {"predictor": {"modell": 1}}},
                                                              "V1beta1InferenceService"))
    container, model = runtime["spec"]["containers"][0], service["spec"]["predictor"]["model"]
    formats = [f["name"] for f in runtime["spec"]["supportedModelFormats"]]
    expect("runtime and service agree", model["runtime"] == runtime["metadata"]["name"] and
           model["modelFormat"]["name"] in formats and model["protocolVersion"] in runtime["spec"]["protocolVersions"])
    expect("the container and its port are those that KServe looks for",
           container["name"] == "kserve-container" and container["ports"][0]["containerPort"] == 8080)
    name = service["metadata"]["name"]
    port = start_container(container, folder, {"{{.Name}}": name}, {"/mnt/models": str(BUNDLES / "tiny-series")})
    ready = container["readinessProbe"]["httpGet"]["path"]
    expect("its readiness probe succeeds", fleet.await_status(port, ready))
    expect("the model has the service's name", fleet.status_of(port, f"/v2/models/{name}/ready") == 200)
    expect("no other model is served", fleet.status_of(port, "/v2/models/shakespeare/ready") == 404)


def check_sagemaker(folder):
    """The image's own environment and command; SageMaker adds nothing but `serve`."""
    image = pathlib.Path("docker/Dockerfile").read_text()
    expect("SageMaker: the image listens on every address and its command is serve",
           "CAROUSEL_SERVER_HOST=0.0.0.0" in image and 'CMD ["serve"]' in image)
    environment = {"CAROUSEL_SERVER_HOST": "127.0.0.1", "CAROUSEL_MODELS_FOLDERS": "",
                   "CAROUSEL_MODELS_BUNDLES": f"m={BUNDLES / 'tiny-series'}", "PORT": "8080"}
    port = start_container({"args": ["serve"], "env": []}, folder, {}, {}, environment)
    expect("SageMaker: GET /ping says 200", fleet.await_status(port, "/ping"))
    body = {"instances": [{"target": [2, 4, 8, 16]}], "configuration": {"num_samples": 5, "output_types": ["mean"]}}
    status, _, text = asyncio.run(fleet.ask(port, "POST", "/invocations", body))
    expect("SageMaker: POST /invocations answers", status == 200 and b"predictions" in text, text[:200])


def check_vertex(folder):
    """Vertex AI sets AIP_HTTP_PORT, and asks the two routes that the model's container names."""
    environment = {"CAROUSEL_SERVER_HOST": "127.0.0.1", "CAROUSEL_MODELS_FOLDERS": "",
                   "CAROUSEL_MODELS_BUNDLES": f"m={BUNDLES / 'tiny-series'}", "AIP_HTTP_PORT": "8080"}
    port = start_container({"args": ["serve"], "env": []}, folder, {}, {}, environment)
    expect("Vertex AI: it listens where AIP_HTTP_PORT says", fleet.await_status(port, "/readyz"))
    body = {"instances": [{"target": [2, 4, 8, 16]}, {"target": [1, 2]}], "parameters": {"prediction_length": 3}}
    status, _, text = asyncio.run(fleet.ask(port, "POST", "/invocations", body))
    made = json.loads(text).get("predictions", []) if status == 200 else []
    expect("Vertex AI: as many predictions as instances, of the length that parameters say",
           [len(one["mean"]) for one in made] == [3, 3], text[:200])


def check_knative(folder):
    container = load("docker/knative/service.yaml")["spec"]["template"]["spec"]["containers"][0]
    port = start_container(container, folder, {}, {"/usr/share/carousel/zoo": str(BUNDLES)}, {"PORT": "8080"})
    expect("Knative: it listens where PORT says", fleet.await_status(port, container["startupProbe"]["httpGet"]["path"]))


def run_pods(item, folder, envoy):
    port, haproxy, envoy_port, service = fleet.free_ports(4)
    keys = folder / "keys"
    first = add_key(keys, "first")
    kubelet.publish(folder / "secret", {"keys": keys.read_bytes()})
    kubelet.publish(folder / "seal", {"keys": f"k1 {os.urandom(32).hex()}\n".encode()})
    volumes = {"models": BUNDLES, "auth": folder / "secret", "seal": folder / "seal"}
    deployment = kubelet.Deployment(item, port, volumes, folder, SLOTS)
    deployment.scale(item["spec"]["replicas"])
    time.sleep(kubelet.PUBLISH_S + 0.5)
    expect("both pods are in the Service", len(deployment.endpoints) == 2, deployment.endpoints)
    slots = [(f"127.0.1.{i}", port) for i in range(1, SLOTS + 1)]
    for name, front in (("haproxy", haproxy), ("envoy", envoy_port)):
        fleet.start_proxy(name, front, slots, folder, envoy)
    fronts, ports = ["Service", "HAProxy", "Envoy"], [service, haproxy, envoy_port]
    carriers = [Carrier(port, first) for port in ports]
    under_load("rolled", deployment, fronts, carried(deployment.roll, carriers), ports, first)
    for name, carrier in zip(fronts, carriers):
        parts, whole = carrier.parts, carrier.in_one_piece(deployment.pods[0].address)
        expect(f"a text that a client carried through {name} in {len(parts)} parts has the bytes of one piece",
               len(parts) > 5 and "".join(parts) == whole, ("".join(parts)[:80], whole[:80], carrier.fault))
    under_load("scaled to 4 and back", deployment, fronts, scale(deployment), ports, first)
    begun = [begin_sessions(deployment, port, name, first) for name, port in (("haproxy", haproxy), ("envoy", envoy_port))]
    under_load("one killed", deployment, fronts, kill(deployment), ports, first, patient=False)
    for sessions, survive in begun:
        kept = sum(good for (good, _), lives in zip(sessions.step_all(), survive) if lives)
        expect(f"all {sum(survive)} sessions of the other pod go on, {kept} did", kept == sum(survive) > 0)
    second = add_key(keys, "second")
    expect("a key that is in no Secret is refused", models_status(deployment, second) == {401})
    kubelet.publish(folder / "secret", {"keys": keys.read_bytes()})
    end = time.monotonic() + fleet.START_S
    while models_status(deployment, second) != {200} and time.monotonic() < end:
        time.sleep(0.1)
    expect("a key that is added to the Secret is taken up by every pod", models_status(deployment, second) == {200})
    deployment.stop()
    ended = deployment.ended
    expect(f"{len(ended)} pods ended with 0, none was killed at the end of its grace period",
           len(ended) >= 6 and all(pod.code == 0 and not pod.killed for pod in ended),
           [(pod.code, pod.killed) for pod in ended])


def main():
    folder, envoy = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    item = check_manifests(sys.argv[4])
    check_kserve(folder, sys.argv[3])
    check_knative(folder)
    check_sagemaker(folder)
    check_vertex(folder)
    run_pods(item, folder, envoy)
    return fleet.sum_up("kubernetes")


if sys.argv[1:] == ["--write"]:
    manifests.write_plain()
    sys.exit()
try:
    code = main()
finally:
    fleet.stop_all()
sys.exit(code)
