import base64
import json
import re
import threading

import numpy as np
import pytest

pytest.importorskip("starlette", reason="Starlette is not installed: pip install 'mlic[serve]'")

from mlic.errors import ImageError


def in_json(*images):
    return {"images": [base64.b64encode(data).decode() for data in images]}


def test_files_and_json_have_the_same_answers_in_the_order_of_the_images(client, encoded, form):
    images = [encoded((255, 0, 51)), encoded((0, 204, 255))]
    answers = client.post("/predict", files=form(*images)).json()
    assert [one["name"] for one in answers["predictions"]] == ["0.png", "1.png"]
    assert [one["labels"] for one in answers["predictions"]] == [["red"], ["green", "blue"]]
    assert answers["predictions"][0]["scores"] == pytest.approx({"red": 1.0, "green": 0.0, "blue": 0.2}, abs=1e-6)
    assert answers["thresholds"] == {"red": 0.5, "green": 0.5, "blue": 0.5}
    assert (answers["model"], answers["at_most"], answers["error"]) == ("colours.onnx", None, None)
    told = client.post("/predict", json=in_json(*images)).json()
    assert [one.pop("name") for one in told["predictions"]] == ["image 1", "image 2"]
    for one in answers["predictions"]:
        del one["name"]
    assert told == answers


def test_an_image_in_json_may_have_a_name(client, encoded):
    named = {"name": "../a<b>.png", "data": base64.b64encode(encoded()).decode()}
    answer = client.post("/predict", json={"images": [named]})
    assert answer.json()["predictions"][0]["name"] == "../a<b>.png"
    assert answer.headers["content-type"] == "application/json"


def test_names_that_are_not_utf_8_are_told_with_escapes(scorer, serving, encoded, form):
    scorer.name, scorer.classes = "m\udcff.ckpt", ("red\udcff", "", "<b>__proto__")
    client = serving()
    assert json.loads(client.get("/health").content)["model"] == "m\udcff.ckpt"
    assert json.loads(client.get("/classes").content)["classes"][0]["name"] == "red\udcff"
    answer = client.post("/predict", files=form(encoded((255, 0, 255))))
    assert answer.status_code == 200
    assert json.loads(answer.content)["predictions"][0]["labels"] == ["red\udcff", "<b>__proto__"]


def test_at_most_so_many_classes_are_present(scorer, serving, encoded, form):
    scorer.at_most = 1
    answer = serving().post("/predict", files=form(encoded((200, 255, 0)))).json()
    assert answer["predictions"][0]["labels"] == ["green"]
    assert answer["at_most"] == 1


def test_an_unreadable_image_has_a_reason_and_the_others_have_scores(client, encoded, form):
    answer = client.post("/predict", files=form(b"hello", encoded(), encoded(kind="JPEG")[:-20]))
    assert answer.status_code == 200
    bad, good, cut = answer.json()["predictions"]
    assert bad["error"] == "not an image; expected a JPEG, PNG, WebP, BMP, GIF or TIFF"
    assert (bad["labels"], bad["scores"]) == ([], {})
    assert good["error"] is None
    assert "truncated" in cut["error"]


def test_where_no_image_can_be_read_the_status_says_so_unless_the_client_is_lenient(client, form):
    answer = client.post("/predict", files=form(b"hello", b""))
    assert answer.status_code == 422
    assert answer.json()["error"] == "none of the images can be read"
    assert "empty" in answer.json()["predictions"][1]["error"]
    lenient = client.post("/predict", files=form(b"hello"), headers={"Prefer": "handling=lenient"})
    assert lenient.status_code == 200


def test_what_has_come_meanwhile_is_done_together(scorer, serving, encoded, form):
    client = serving(batch_size=4)
    scorer.free.clear()
    first = threading.Thread(target=client.post, args=("/predict",), kwargs={"files": form(encoded())})
    first.start()
    assert scorer.begun.wait(20)
    rest = threading.Thread(target=client.post, args=("/predict",), kwargs={"files": form(*[encoded()] * 6)})
    rest.start()
    while "mlic_waiting_images 6.0" not in client.get("/metrics").text:
        pass
    scorer.free.set()
    first.join()
    rest.join()
    assert scorer.sizes == [1, 4, 2]


def test_what_the_model_is(client):
    told = client.get("/classes").json()
    assert told["classes"] == [{"name": name, "threshold": 0.5} for name in ("red", "green", "blue")]
    assert (told["model"], told["engine"], told["image_size"], told["explains"]) == ("colours.onnx", "numpy", 8, False)
    assert told["limits"] == {
        "body_bytes": 32_000_000,
        "pixels": 64_000_000,
        "images": 64,
        "requests": 64,
        "seconds": 30.0,
    }
    assert client.get("/health").json()["status"] == "ok"


def test_the_description_names_each_path_and_only_what_it_describes(serving):
    description = serving(explain=lambda data, name: b"").get("/openapi.json").json()
    assert set(description["paths"]) == {"/predict", "/explain", "/classes", "/health", "/metrics"}
    schemas = description["components"]["schemas"]
    assert set(schemas["Answer"]["required"]) == {"model", "thresholds", "at_most", "predictions"}
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(description)))
    assert named == set(schemas)


def test_metrics_count_requests_images_and_refusals(client, encoded, form):
    client.post("/predict", files=form(encoded(), b"hello"))
    client.post("/predict", content=b"{", headers={"Content-Type": "application/json"})
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'mlic_requests_total{path="/predict",status="200"} 1.0',
        'mlic_requests_total{path="/predict",status="400"} 1.0',
        'mlic_images_total{outcome="scored"} 1.0',
        'mlic_images_total{outcome="unreadable"} 1.0',
        'mlic_rejected_total{status="400"} 1.0',
        'mlic_request_seconds_count{path="/predict"} 2.0',
        "mlic_waiting_images 0.0",
        "mlic_requests_at_once 0.0",
        "mlic_batch_images_sum 1.0",
    ):
        assert line in lines


def test_a_fault_of_the_model_is_500_without_a_word_of_where(scorer, serving, encoded, form, caplog):
    def broken(images):
        raise RuntimeError("/secret/path")

    client = serving()
    scorer.__class__ = type("Broken", (scorer.__class__,), {"__call__": lambda self, images: broken(images)})
    answer = client.post("/predict", files=form(encoded()))
    assert (answer.status_code, answer.json()) == (500, {"error": "the server failed to answer; its log tells why"})
    assert "/secret/path" in caplog.text
    assert client.get("/health").status_code == 200


def test_a_model_that_gives_no_number_is_an_error_of_the_image(scorer, serving, encoded, form):
    client = serving()
    nothing = {"__call__": lambda self, images: np.full((len(images), 3), np.nan, np.float32)}
    scorer.__class__ = type("Diverged", (scorer.__class__,), nothing)
    answer = client.post("/predict", files=form(encoded()))
    assert answer.status_code == 422
    assert "diverged" in answer.json()["predictions"][0]["error"]


def test_a_heat_map_is_drawn_for_a_class_of_the_model(serving, encoded, form):
    asked = []

    def explain(data, name):
        asked.append((data, name))
        if name == "blue":
            raise ImageError("damaged")
        return b"\x89PNG"

    client, image = serving(explain=explain, pixels=200), encoded()
    assert client.get("/classes").json()["explains"]
    answer = client.post("/explain?class=red", files=form(image))
    assert (answer.headers["content-type"], answer.content) == ("image/png", b"\x89PNG")
    assert asked == [(image, "red")]
    refused = client.post("/explain?class=rde", files=form(image))
    assert (refused.status_code, refused.json()["error"]) == (
        422,
        "?class= says 'rde', which is no class of this model; did you mean 'red'?",
    )
    assert client.post("/explain?class=red", files=form(image, image)).status_code == 400
    for bad, name in ((b"hello", "red"), (encoded(size=(20, 20)), "red"), (image, "blue")):
        answer = client.post(f"/explain?class={name}", files=form(bad))
        assert answer.status_code == 422
        assert "cannot be read" in answer.json()["error"]


def test_without_heat_maps_there_is_no_such_path(client, encoded, form):
    assert client.post("/explain?class=red", files=form(encoded())).status_code == 404


def test_the_page_lets_nothing_in_from_elsewhere(client):
    answer = client.get("/")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["script-src"].startswith("'sha256-")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert not re.findall(r"(?:src|href)=\"(?!data:|openapi)[^\"]+\"", answer.text)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers


def test_a_name_that_is_led_here_from_elsewhere_is_not_answered(serving, encoded, form):
    client = serving(names={"cats.example"})
    for host in (
        "127.0.0.1:8000",
        "[::1]:8000",
        "10.1.2.3",
        "localhost",
        "LOCALHOST:80",
        "a.localhost",
        "Cats.example",
    ):
        assert client.get("/health", headers={"Host": host}).status_code == 200, host
    for host in ("dogs.example", "cats.example.org", "127.0.0.1.example", "localhost.example:8000", "", "[::1", "a b"):
        answer = client.get("/classes", headers={"Host": host})
        assert (answer.status_code, list(answer.json())) == (421, ["error"]), host
    refused = client.post("/predict", files=form(encoded()), headers={"Host": "dogs.example"})
    assert refused.json()["error"].startswith("'dogs.example' is no name of this server")


def test_what_a_page_from_elsewhere_posts_is_refused(client, encoded, form):
    for site, status in (("cross-site", 403), ("same-origin", 200), ("same-site", 200), ("none", 200)):
        answer = client.post("/predict", files=form(encoded()), headers={"Sec-Fetch-Site": site})
        assert answer.status_code == status, site
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200  # a link leads here


@pytest.mark.parametrize("path", ["/nothing", "/../etc/passwd", "/page.html", "/predict/x", "/health/"])
def test_there_is_nothing_else(client, path):
    answer = client.get(path, follow_redirects=False)
    assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_a_method_that_a_path_does_not_take(client):
    answer = client.get("/predict")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json() == {"error": "GET is not what this path takes"}
