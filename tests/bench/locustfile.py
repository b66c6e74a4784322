"""The benchmark's cases for Locust."""
import csv
import itertools
import os
import pathlib

from locust import FastHttpUser, constant, task

ROWS = list(csv.reader(open(pathlib.Path(__file__).parent / "resources" / "visitors.csv")))[1:]
ROUND = itertools.cycle(ROWS)


class Visitor(FastHttpUser):
    wait_time = constant(0)

    @task
    def visit(self):
        if os.environ["CASE"] == "trivial":
            self.client.get("/", name="get")
            return
        row, token = next(ROUND)
        headers = {
            "accept": "application/json", "accept-encoding": "identity",
            "content-type": "application/json", "user-agent": "bench/1",
            "x-token": token, "x-trace": f"trace-{row}",
        }
        body = f'{{"item": {row}, "token": "{token}", "quantity": 1}}'
        path = f"/items/{row}?token={token}"
        with self.client.post(path, data=body, headers=headers, name="order", catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure("status")
            self.order = answer.json()["id"]
