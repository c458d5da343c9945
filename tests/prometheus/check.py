#!/usr/bin/env python3
"""check.py FOLDER: a real Prometheus scrapes a real server with the configuration that docker/prometheus
holds, and answers every query of the Grafana dashboard and of the alerts; the sums are those of what was
asked. Needs prometheus and promtool (Debian: prometheus), and nothing but Python's own library. Ends with a
line like the one that check prints."""

import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

LOAD_S = 12
PATIENCE_S = 60
checks = failures = 0


def expect(what, good, found=""):
    global checks, failures
    checks += 1
    if not good:
        failures += 1
        print(f"FAILED: {what} {found}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*command, stdin=None):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def fetch(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


class Asked:
    """Requests by route and status, as the clients saw them."""

    def __init__(self, url):
        self.url, self.counts, self.mutex = url, {}, threading.Lock()

    def post(self, route, body):
        status = post(self.url + route, body)
        with self.mutex:
            self.counts[route, str(status)] = self.counts.get((route, str(status)), 0) + 1

    def load(self, until):
        while time.monotonic() < until:
            self.post("/v1/forecast", {"model": "numbers", "series": [2, 4, 8], "horizon": 2})
            self.post("/v1/completions", {"model": "shakespeare", "prompt": "ROMEO:", "max_tokens": 8})
            self.post("/v1/classify", {"model": "sentiment", "input": "a fine film"})
            self.post("/v1/forecast", {"model": "numbers"})
            time.sleep(0.02)


def start_server(folder):
    program = os.environ.get("CAROUSEL_PROGRAM", "build/carousel")
    log = open(f"{folder}/server.log", "w")
    server = subprocess.Popen([program, "serve", "--models", "zoo", "--host", "127.0.0.1", "--port", "0",
                               "--set", "scheduler.queue_sequences=64"], stdout=subprocess.PIPE, stderr=log,
                              text=True)
    for line in server.stdout:
        if line.startswith("carousel: listening on "):
            return server, line.split()[-1]
    sys.exit(f"the server did not start: see {folder}/server.log")


def start_prometheus(folder, server_url):
    """With the documented files: only the target and the pace differ."""
    text = open("docker/prometheus/prometheus.yml").read()
    target = server_url.removeprefix("http://")
    changed = text.replace("127.0.0.1:8080", target).replace("15s", "1s")
    if changed.count(target) != 1 or changed.count("1s") != 2:
        sys.exit("docker/prometheus/prometheus.yml no longer holds the target 127.0.0.1:8080 and two intervals of 15s")
    open(f"{folder}/prometheus.yml", "w").write(changed)
    shutil.copy("docker/prometheus/alerts.yml", folder)
    address = f"127.0.0.1:{free_port()}"
    prometheus = subprocess.Popen(["prometheus", f"--config.file={folder}/prometheus.yml",
                                   f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"],
                                  stdout=open(f"{folder}/prometheus.log", "w"), stderr=subprocess.STDOUT)
    return prometheus, f"http://{address}"


def query(prometheus_url, expression):
    """The values, or a text that says what is wrong."""
    try:
        answer = fetch(prometheus_url + "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
    except urllib.error.HTTPError as error:
        return error.read().decode()
    except OSError as error:
        return str(error)
    result = json.loads(answer)["data"]
    return [float(sample["value"][1]) for sample in result["result"]] if result["resultType"] == "vector" else "no vector"


def wait_for(prometheus_url, expression, value):
    end = time.monotonic() + PATIENCE_S
    while (found := query(prometheus_url, expression)) != [value] and time.monotonic() < end:
        time.sleep(0.5)
    return found


def check_files(server_url):
    good, text = run("promtool", "check", "metrics", stdin=fetch(server_url + "/metrics"))
    expect("promtool check metrics", good and not text.strip(), text)
    expect("promtool check config", *run("promtool", "check", "config", "docker/prometheus/prometheus.yml"))
    expect("promtool test rules", *run("promtool", "test", "rules", "tests/prometheus/alerts_test.yml"))
    metrics = set(re.findall(r'^(?:COUNTER|HISTOGRAM|COMPUTED)\(\w+, "(\w+)"',
                             open("server/request/metrics.def").read(), re.M))
    expect("the table of metrics is read", len(metrics) > 15)
    used = set(re.findall(r"carousel_(\w+)",
                          open("docker/grafana/carousel.json").read() + open("docker/prometheus/alerts.yml").read()))
    used = {re.sub(r"_bucket$", "", name) for name in used}
    expect("the dashboard and the alerts name metrics that exist", used <= metrics, used - metrics)
    told = set(re.findall(r"`carousel_(\w+)`", open("docs/operations.md").read()))
    expect("docs/operations.md describes every metric", metrics <= told, metrics - told)
    expect("docs/operations.md describes no other", told <= metrics, told - metrics)


def check_dashboard(prometheus_url):
    dashboard = json.load(open("docker/grafana/carousel.json"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expect("the dashboard has queries", len(expressions) >= 20, len(expressions))
    for expression in expressions:
        asked = expression.replace("$__rate_interval", "10s").replace("$instance", ".*")
        found = query(prometheus_url, asked)
        good = isinstance(found, list) and any(math.isfinite(value) for value in found)
        expect(f"the dashboard's {asked} has data:", good, found)


def check_alerts(prometheus_url):
    groups = json.loads(fetch(prometheus_url + "/api/v1/rules"))["data"]["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        expect(f"the alert {rule['name']} is evaluated:", rule["health"] == "ok",
               rule.get("lastError", rule["health"]))


def check_sums(prometheus_url, asked):
    for (route, status), n in asked.counts.items():
        found = wait_for(prometheus_url,
                         f'sum(carousel_requests_total{{route="{route}",code="{status}"}})', n)
        expect(f"{route} {status}: {n} requests:", found == [n], found)
    good = sum(n for (_, status), n in asked.counts.items() if status == "200")
    completions = asked.counts["/v1/completions", "200"]
    for expression, value in {
        'sum(carousel_requests_finished_total)': good,
        'sum(carousel_request_duration_seconds_count{route=~"/v1/.*"})': sum(asked.counts.values()),
        'sum(carousel_request_duration_seconds_bucket{route=~"/v1/.*",le="+Inf"})': sum(asked.counts.values()),
        'carousel_queue_duration_seconds_count': good,
        'carousel_time_to_first_token_seconds_count': completions,
        'carousel_inter_token_seconds_count': completions,
        'carousel_batch_rows_count == bool carousel_turns_total': 1,
        'carousel_batch_rows_sum == bool carousel_rows_total': 1,
        'carousel_steps_total{phase="prompt"} >= bool ' + str(6 * completions): 1,
        'carousel_workers >= bool 1': 1,
        'sum(carousel_requests_total{model="numbers",route="/v1/forecast",code="200"})': asked.counts["/v1/forecast", "200"],
        'carousel_queue_depth': 0,
        'carousel_sequences_active': 0,
        'sum(carousel_rejected_total)': 0,
        'sum(carousel_model_ready)': len(os.listdir("zoo")) - sum(1 for f in os.listdir("zoo") if not os.path.exists(f"zoo/{f}/config.json")),
        'sum(carousel_model_memory_bytes) < bool sum(carousel_resident_memory_bytes)': 1,
        'up{job="carousel"}': 1,
        'count(ALERTS{alertstate="firing"}) or vector(0)': 0,
    }.items():
        found = wait_for(prometheus_url, expression, value)
        expect(f"{expression} is {value}:", found == [value], found)


def main():
    folder = os.path.abspath(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    server, url = start_server(folder)
    prometheus = None
    try:
        prometheus, prometheus_url = start_prometheus(folder, url)
        expect("the server is scraped:", wait_for(prometheus_url, 'up{job="carousel"}', 1) == [1])
        check_files(url)
        asked = Asked(url)
        asked.post("/v1/forecast", {"model": "nonesuch", "series": [1]})
        clients = [threading.Thread(target=asked.load, args=(time.monotonic() + LOAD_S,)) for _ in range(2)]
        for client in clients:
            client.start()
        time.sleep(LOAD_S - 2)
        check_dashboard(prometheus_url)
        for client in clients:
            client.join()
        check_alerts(prometheus_url)
        check_sums(prometheus_url, asked)
        server.send_signal(signal.SIGTERM)
        expect("the server ends well", server.wait(30) == 0)
        expect("Prometheus notices that it is gone:",
               wait_for(prometheus_url, 'up{job="carousel"}', 0) == [0])
    finally:
        for process in (server, prometheus):
            if process and process.poll() is None:
                process.kill()
                process.wait()
    print(f"prometheus: {(checks - failures) * 100 // checks}%: Checks: {checks}, Failures: {failures}, Errors: 0")
    sys.exit(failures != 0)


main()
