"""The page in a real browser, with a real server behind it."""

import json
import socket
import threading

import pytest
from PIL import Image

pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'mlic[serve]'")

import uvicorn

from mlic.serve import make_app

pytestmark = pytest.mark.slow


@pytest.fixture
def address(scorer, request, encoded):
    explain = (lambda data, name: encoded((255, 0, 0))) if getattr(request, "param", True) else None
    app = make_app(scorer, explain=explain)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
        thread.start()
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/"
        scorer.free.set()
        server.should_exit = True
        thread.join()
        app.state.close()


@pytest.fixture
def files(tmp_path, encoded):
    """An image that is red and green, and a text that calls itself one."""
    (tmp_path / "photo.png").write_bytes(encoded((255, 204, 51), size=(120, 80)))
    (tmp_path / "<b>text.jpg").write_text("hello")
    return [tmp_path / "photo.png", tmp_path / "<b>text.jpg"]


def until(browser, true):
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, 20, poll_frequency=0.05).until(lambda _: true())


def all_of(browser, selector):
    return browser.find_elements("css selector", selector)


def shown_as(browser, width=1200, scheme="light"):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    query = f"(prefers-color-scheme: {scheme})"
    until(browser, lambda: browser.execute_script("return matchMedia(arguments[0]).matches", query))


def opened(browser, address, **how):
    shown_as(browser, **how)
    browser.get("about:blank")
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # what other pages have left
    browser.get(address)
    until(browser, lambda: "3 classes" in browser.find_element("id", "facts").text)


def given(browser, files):
    before = len(all_of(browser, ".card"))
    browser.find_element("id", "files").send_keys("\n".join(map(str, files)))
    until(browser, lambda: len(all_of(browser, ".card")) == before + len(files))
    until(browser, lambda: not all_of(browser, "#results[aria-busy]"))


def test_what_is_chosen_is_labelled(browser, address, files):
    opened(browser, address)
    given(browser, files[:1])
    assert browser.find_element("id", "status").text == "photo.png: red, green"
    assert browser.find_element("css selector", ".card .summary").text == "red, green"
    bars = all_of(browser, ".bar")
    assert [bar.text.split("\n") for bar in bars] == [
        ["red", "present", "100.0 %"],
        ["green", "present", "80.0 %"],
        ["blue", "20.0 %"],
    ]
    script = "return [...document.querySelectorAll(arguments[0])].map(one => one.style[arguments[1]])"
    assert browser.execute_script(script, ".fill", "width") == ["100%", "80%", "20%"]
    assert browser.execute_script(script, ".threshold", "left") == ["50%"] * 3
    assert until(browser, lambda: browser.execute_script("return document.images[0].naturalWidth")) == 120


def test_a_text_that_calls_itself_an_image_has_a_reason_and_the_console_nothing(browser, address, files):
    opened(browser, address)
    given(browser, files)
    assert browser.find_element("id", "status").text == "1 image labelled, 1 image could not be read."
    failed = browser.find_element("css selector", ".card.failed")
    assert failed.text.split("\n") == [
        "<b>text.jpg",
        "Cannot be read: not an image; expected a JPEG, PNG, WebP, BMP, GIF or TIFF",
    ]
    given(browser, files[1:])
    assert browser.find_element("id", "status").text.startswith("<b>text.jpg: Cannot be read: not an image")
    assert browser.get_log("browser") == []


def test_nothing_comes_from_elsewhere(browser, address, files):
    opened(browser, address)
    given(browser, files)
    asked = set()
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.add(message["params"]["request"]["url"])
    addresses = {one for one in asked if not one.startswith(("data:", "blob:", "about:"))}
    assert addresses == {address, f"{address}classes", f"{address}predict"}
    refused = "return fetch('https://example.com/').then(() => 'fetched', () => 'refused')"
    assert browser.execute_script(refused) == "refused"


def test_the_heat_map_comes_and_goes(browser, address, files):
    opened(browser, address)
    given(browser, files[:1])
    heat = browser.find_element("css selector", ".heat")
    toggle = browser.find_element("css selector", ".heattoggle")
    assert not heat.is_displayed()
    toggle.click()
    until(browser, heat.is_displayed)
    assert heat.get_attribute("alt") == "Where photo.png shows red"
    assert browser.find_element("id", "status").text == "Heat map of red."
    toggle.click()
    until(browser, lambda: not heat.is_displayed())


def test_an_image_that_no_browser_shows_has_a_heat_map_all_the_same(browser, address, tmp_path):
    Image.new("RGB", (30, 20), (255, 0, 0)).save(tmp_path / "a.tiff")
    opened(browser, address)
    given(browser, [tmp_path / "a.tiff"])
    browser.find_element("css selector", ".heattoggle").click()
    heat = browser.find_element("css selector", ".heat")
    until(browser, lambda: heat.is_displayed() and heat.size["height"] > 5)
    assert browser.find_element("id", "status").text == "Heat map of red."


def test_who_does_not_see_the_bars_is_told_their_thresholds_and_whose_heat_map_it_is(browser, address, files):
    opened(browser, address)
    given(browser, files[:1])
    assert all_of(browser, ".bar .reached")[0].get_attribute("textContent") == ", threshold 50.0 %"
    names = [browser.find_element("css selector", one).accessible_name for one in (".heattoggle", ".heatclass")]
    assert names == ["heat map of photo.png", "class of the heat map of photo.png"]


@pytest.mark.parametrize("address", [False], indirect=True)
def test_where_there_are_no_heat_maps_there_is_no_button_for_them(browser, address, files):
    opened(browser, address)
    given(browser, files[:1])
    assert not browser.find_element("css selector", ".heattoggle").is_displayed()


def test_the_download_is_what_the_server_said(browser, address, files):
    opened(browser, address)
    given(browser, files)
    browser.find_element("id", "download").click()
    file = browser.downloads / "labels.json"
    until(browser, file.is_file)
    told = json.loads(file.read_text(encoding="utf-8"))
    assert (told["model"], told["thresholds"]) == ("colours.onnx", {"red": 0.5, "green": 0.5, "blue": 0.5})
    assert [one["labels"] for one in told["predictions"]] == [["red", "green"], []]
    browser.find_element("id", "clear").click()
    assert not all_of(browser, ".card")
    assert not browser.find_element("id", "tools").is_displayed()


def test_what_is_dropped_or_pasted_is_labelled_too(browser, address):
    opened(browser, address)
    script = """
    const done = arguments[arguments.length - 1], kind = arguments[0];
    const canvas = document.createElement("canvas");
    canvas.getContext("2d").fillRect(0, 0, 9, 9);
    canvas.toBlob((blob) => {
      const data = new DataTransfer();
      data.items.add(new File([blob], `${kind}.png`, { type: "image/png" }));
      document.getElementById("drop").dispatchEvent(kind === "drop"
        ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
        : new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
      done();
    });
    """
    for number, kind in enumerate(("drop", "paste"), 1):
        browser.execute_async_script(script, kind)
        until(browser, lambda number=number: len(all_of(browser, ".card")) == number)
        assert all_of(browser, ".card h2")[-1].text == f"{kind}.png"


OUTLINE = """
const one = arguments[0];
return getComputedStyle(one.id === "files" ? one.labels[0] : one).outlineStyle;
"""


def test_everything_that_is_pressed_is_reached_by_the_tab_key_and_shows_it(browser, address, files):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    opened(browser, address)
    given(browser, files[:1])
    browser.execute_script("document.activeElement.blur()")
    wanted = {"files", "download", "clear", "all", "heattoggle", "heatclass", "openapi.json"}
    reached = set()
    for _ in range(3 * len(wanted)):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        one = browser.switch_to.active_element
        reached |= {one.get_attribute(name) for name in ("id", "className")} | {one.get_dom_attribute("href")}
        if one.tag_name != "body":
            assert browser.execute_script(OUTLINE, one) == "solid"
    assert wanted <= reached


def test_a_server_that_is_gone_is_told(browser, address, files):
    opened(browser, address)
    browser.execute_script("window.fetch = () => Promise.reject(new Error('gone'))")
    given(browser, files[:1])
    assert "gone" in browser.find_element("css selector", ".failed .summary").text


def test_a_full_server_is_asked_again(browser, address, files):
    opened(browser, address)
    browser.execute_script("""
    const fetched = window.fetch;
    let times = 0;
    window.fetch = (...words) => times++ ? fetched(...words)
      : Promise.resolve(new Response("{}", { status: 429, headers: { "Retry-After": "0.01" } }));
    """)
    given(browser, files[:1])
    assert not all_of(browser, ".failed")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 820, 1200])
def test_the_page_is_never_wider_than_the_window_and_its_texts_stand_out(
    browser, address, files, faint_texts, width, scheme
):
    opened(browser, address, width=width, scheme=scheme)
    given(browser, files)
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert faint_texts(browser, "script, style, noscript, option") == []
