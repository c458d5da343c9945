"""The same models behind LitServe: litserve_app.py PORT. Batches of requests are not put together, because one
call of the network reads one sequence."""
import os
import sys

import litserve
import networks


class Models(litserve.LitAPI):
    def setup(self, device):
        self.models = networks.Models(os.environ["ZOO"], os.environ["NETWORKS"])

    def decode_request(self, request):
        return request

    def predict(self, request):
        if "prompt" in request:
            return {"text": self.models.complete(request["prompt"], request["max_tokens"])}
        return {"results": [self.models.classify(request["input"])]}

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Models(), accelerator="cpu", workers_per_device=2, timeout=False)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
