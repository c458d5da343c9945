"""kubelet: run the pods of a Deployment as Kubernetes would, with processes of this machine.

A pod gets an address of its own, 127.0.1.N, its container's arguments and environment, its volumes as folders with the
links of a real mount, its probes, and on its end SIGTERM, the grace period and SIGKILL. Three things differ: --host
names the pod's address, because all pods share this machine; the port is one that is free; and paths of the
image become paths below the volumes' folders. Controllers here follow the Deployment's strategy, and publish
the addresses of ready pods some time later, as EndpointSlices and kube-proxy do."""
import asyncio
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

import fleet

PUBLISH_S = 1.0  # from a change of readiness to every node's rules


def publish(folder, files):
    """Write files as the kubelet does: into a folder of its own, to which ..data leads, and links to them."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"..{time.time_ns()}"
    (folder / name).mkdir()
    for file, content in files.items():
        (folder / name / file).write_bytes(content)
        if not (folder / file).is_symlink():
            (folder / file).symlink_to(f"..data/{file}")
    old = os.readlink(folder / "..data") if (folder / "..data").is_symlink() else None
    (folder / "..data_tmp").symlink_to(name)
    (folder / "..data_tmp").rename(folder / "..data")
    if old:
        shutil.rmtree(folder / old)


class Pod:
    """One container of a template; `volumes` are folders by the volume's name."""

    def __init__(self, spec, number, port, volumes, folder):
        self.address = (f"127.0.1.{number}", port)
        self.spec, self.container = spec, spec["containers"][0]
        self.ready, self.was_ready_s, self.leaving, self.killed = False, 0.0, False, False
        self.mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in self.container.get("volumeMounts", [])}
        self.log = folder / f"pod-{number}-{time.time_ns()}.log"
        self.starts = 0
        self.over = threading.Event()
        self.start()
        self.thread = threading.Thread(target=self.probe, daemon=True)
        self.thread.start()

    def local(self, text):
        """The text with paths of the container as paths of this machine."""
        for path, folder in sorted(self.mounts.items(), key=lambda item: -len(item[0])):
            text = text.replace(path, str(folder))
        return text

    def start(self):
        host, port = self.address
        named = {p["name"]: p["containerPort"] for p in self.container["ports"]}
        arguments = [self.local(argument).replace("--host=0.0.0.0", f"--host={host}").replace(
            f"--port={named['http']}", f"--port={port}") for argument in self.container["args"]]
        environment = {v["name"]: self.local(v.get("value", "")) for v in self.container.get("env", [])}
        self.process = fleet.Process([fleet.PROGRAM, *arguments], self.log, environment)
        self.starts += 1
        self.started = False  # the startup probe has not succeeded yet

    def ask(self, probe):
        timeout = probe.get("timeoutSeconds", 1)
        try:
            status = asyncio.run(asyncio.wait_for(fleet.ask(self.address, path=probe["httpGet"]["path"]), timeout))[0]
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            return False
        return 200 <= status < 400

    def probe(self):
        """Startup until it succeeds, then readiness and liveness; a container that ends is started again."""
        kinds = {kind: self.container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")}
        failed = dict.fromkeys(kinds, 0)
        due = dict.fromkeys(kinds, 0.0)
        while not self.over.wait(0.05):
            if not self.process.is_running() and not self.leaving:
                self.set_ready(False)
                self.start()
                failed = dict.fromkeys(kinds, 0)
            for kind in ("readiness", "liveness") if self.started else ("startup",):
                now = time.monotonic()
                if now < due[kind]:
                    continue
                probe = kinds[kind]
                due[kind] = now + probe.get("periodSeconds", 10)
                failed[kind] = 0 if self.ask(probe) else failed[kind] + 1
                if kind == "startup" and not failed[kind]:
                    self.started = True
                    due["readiness"] = 0
                if kind == "readiness" and failed[kind] in (0, probe.get("failureThreshold", 3)):
                    self.set_ready(not failed[kind])
                if kind == "liveness" and failed[kind] >= probe.get("failureThreshold", 3) and not self.leaving:
                    self.process.signal(signal.SIGKILL)

    def set_ready(self, ready):
        if ready and not self.ready:
            self.was_ready_s = time.monotonic()
        self.ready = ready

    def terminate(self):
        """As the kubelet ends a pod; its address leaves the Service at the same moment."""
        self.leaving = True
        self.process.signal(signal.SIGTERM)
        try:
            self.code = self.process.wait(self.spec["terminationGracePeriodSeconds"])
        except subprocess.TimeoutExpired:
            self.killed, self.code = True, None
            self.process.end()
        self.over.set()
        self.thread.join()


class Deployment:
    """The pods of a Deployment, and the addresses that its Service has."""

    def __init__(self, item, port, volumes, folder, slots):
        self.spec, self.port, self.volumes, self.folder = item["spec"], port, volumes, folder
        self.free = list(range(1, slots + 1))
        self.pods, self.ended, self.threads = [], [], []
        self.endpoints = []
        self.over = threading.Event()
        threading.Thread(target=self.publish_endpoints, daemon=True).start()

    def publish_endpoints(self):
        seen = []
        while not self.over.wait(0.05):
            now = time.monotonic()
            seen.append((now, [pod.address for pod in list(self.pods) if pod.ready and not pod.leaving]))
            while len(seen) > 1 and seen[1][0] <= now - PUBLISH_S:
                seen.pop(0)
            if seen[0][0] <= now - PUBLISH_S:
                self.endpoints = seen[0][1]

    def add(self):
        pod = Pod(self.spec["template"]["spec"], self.free.pop(0), self.port, self.volumes, self.folder)
        self.pods.append(pod)
        return pod

    def await_available(self, pods, seconds=fleet.START_S):
        wait = self.spec.get("minReadySeconds", 0)
        end = time.monotonic() + seconds + wait
        while not all(pod.ready and time.monotonic() - pod.was_ready_s >= wait for pod in pods):
            if time.monotonic() > end:
                pods[0].process.end(tail=True)
                raise RuntimeError("a pod does not become ready")
            time.sleep(0.05)

    def remove(self, pod):
        def end():
            pod.terminate()
            self.pods.remove(pod)
            self.ended.append(pod)
            self.free.append(int(pod.address[0].rsplit(".", 1)[1]))
        pod.leaving = True
        thread = threading.Thread(target=end)
        thread.start()
        self.threads.append(thread)

    def settle(self):
        for thread in self.threads:
            thread.join()
        self.threads = []

    def scale(self, n):
        running = [pod for pod in self.pods if not pod.leaving]
        for pod in running[n:]:
            self.remove(pod)
        self.await_available(running[:n] + [self.add() for _ in range(n - len(running))])
        self.settle()

    def roll(self):
        """A new template: at most maxSurge pods more, and with maxUnavailable 0 none less."""
        update = self.spec["strategy"]["rollingUpdate"]
        assert update == {"maxSurge": 1, "maxUnavailable": 0}, update
        for old in [pod for pod in self.pods if not pod.leaving]:
            self.await_available([self.add()])
            self.remove(old)
        self.settle()

    def stop(self):
        self.scale(0)
        self.over.set()


class Service:
    """kube-proxy: a connection goes to one of the published addresses, and stays there. Nothing is repeated."""

    def __init__(self, deployment, port):
        self.deployment, self.port, self.turn, self.refused = deployment, port, 0, 0

    async def run(self, over):
        server = await asyncio.start_server(self.connect, "127.0.0.1", self.port)
        async with server:
            await over.wait()

    async def connect(self, reader, writer):
        endpoints = self.deployment.endpoints
        self.turn += 1
        try:
            back = await asyncio.open_connection(*endpoints[self.turn % len(endpoints)])
        except (OSError, ZeroDivisionError, IndexError):
            self.refused += 1
            writer.transport.abort()
            return
        await asyncio.gather(self.pipe(reader, back[1]), self.pipe(back[0], writer))

    @staticmethod
    async def pipe(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()
        except OSError:
            writer.transport.abort()
