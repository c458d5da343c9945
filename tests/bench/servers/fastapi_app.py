"""The plain way: FastAPI, uvicorn, ONNX Runtime."""
import os

import networks
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
models = networks.Models(os.environ["ZOO"], os.environ["NETWORKS"])


class Digit(BaseModel):
    input: list[list[float]]


class Prompt(BaseModel):
    prompt: str
    max_tokens: int


@app.get("/health")
def health():
    return {}


@app.post("/classify")
def classify(request: Digit):
    return {"results": [models.classify(request.input)]}


@app.post("/complete")
def complete(request: Prompt):
    return {"text": models.complete(request.prompt, request.max_tokens)}
