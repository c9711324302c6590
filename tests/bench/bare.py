"""What the benches compare with: an empty Flask application that answers the same, without database or extensions."""

import hashlib

from flask import Flask, redirect, request
from flask.typing import ResponseReturnValue

app = Flask("bare")
KEY = "rp_the-key-of-the-bench"
KEY_HASH = hashlib.sha256(KEY.encode()).hexdigest()


@app.get("/r/<code>")
def follow(code: str) -> ResponseReturnValue:
    return redirect("/signup?ref=" + code)


@app.post("/api/v1/conversions")
def convert() -> ResponseReturnValue:
    """The API's answer without its work: the key is checked by its hash, the body is read."""
    secret = request.headers.get("Authorization", "").partition(" ")[2]
    if hashlib.sha256(secret.encode()).hexdigest() != KEY_HASH:
        return {"title": "Unauthorized"}, 401
    told = request.get_json()
    return {
        "id": "abcdefghjkmnpqrs",
        "goal": told["goal"],
        "external_id": told["external_id"],
        "amount_minor": told["amount_minor"],
        "currency": told["currency"],
        "occurred_at": "2026-11-22T00:00:00Z",
        "state": "applied",
        "referral": "abcdefghjkmnpqrs",
        "rewards": [],
    }, 201


@app.get("/readyz")
def readyz() -> ResponseReturnValue:
    return {"status": "ok"}
