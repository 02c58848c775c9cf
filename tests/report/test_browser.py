"""The page in a real browser: what it runs, shows and asks for."""

import base64
import http.server
import threading
from functools import partial

import pytest

from mlic.report import compare_reports, write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(scored, better, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    write_report(scored, folder, resamples=5)
    compare_reports(scored, better, folder, resamples=5)
    return folder


@pytest.fixture(scope="module", params=["report.html", "comparison.html"])
def address(request, folder):
    return (folder / request.param).as_uri()


def until(browser, true):
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, 20, poll_frequency=0.05).until(lambda _: true())


def shown_as(browser, width=1200, scheme="light", media=""):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    query = f"{media or 'screen'} and (prefers-color-scheme: {scheme})"
    until(browser, lambda: browser.execute_script("return matchMedia(arguments[0]).matches", query))


def opened(browser, address, **how):
    shown_as(browser, **how)
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # what other pages have left
    browser.get("about:blank")
    browser.get(address)


def test_the_page_says_nothing_on_the_console_and_fetches_nothing(browser, address):
    opened(browser, address)
    assert browser.get_log("browser") == []
    script = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    assert [name for name in browser.execute_script(script) if not name.startswith("data:")] == []


def test_a_server_is_asked_for_the_page_alone(browser, folder):
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        opened(browser, f"http://127.0.0.1:{server.server_port}/report.html")
        assert browser.get_log("browser") == []
    finally:
        server.shutdown()
        server.server_close()
    assert asked == ["/report.html"]


def test_all_images_are_there(browser, address):
    opened(browser, address)
    widths = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert widths
    assert min(widths) > 0


def column(browser, place):
    script = (
        "return [...document.querySelectorAll(`#class-table tbody tr`)].map(row => row.cells[arguments[0]].innerText)"
    )
    return browser.execute_script(script, place)


def sort_states(browser):
    script = (
        "return [...document.querySelectorAll('#class-table thead th')].map(head => head.getAttribute('aria-sort'))"
    )
    return browser.execute_script(script)


def test_a_click_on_a_heading_sorts_and_another_one_turns_it_round(browser, address):
    from selenium.webdriver.common.by import By

    opened(browser, address)
    button = browser.find_elements(By.CSS_SELECTOR, "#class-table thead button")[1]
    before = column(browser, 1)
    button.click()
    assert column(browser, 1) == sorted(before, key=int)
    assert sort_states(browser)[:3] == ["none", "ascending", "none"]
    button.click()
    assert column(browser, 1) == sorted(before, key=int, reverse=True)
    assert sort_states(browser)[1] == "descending"


def test_the_keyboard_sorts_too_and_what_is_not_defined_comes_last(browser, folder):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    opened(browser, (folder / "report.html").as_uri())
    place = 4  # AP, of which a class without positives has none
    button = browser.find_elements(By.CSS_SELECTOR, "#class-table thead button")[place]
    for key, reverse in ((Keys.ENTER, False), (Keys.SPACE, True)):
        button.send_keys(key)
        found = column(browser, place)
        assert found[-1] == "n/a"
        assert found[:-1] == sorted(found[:-1], key=float, reverse=reverse)
    browser.find_elements(By.CSS_SELECTOR, "#class-table thead button")[0].send_keys(Keys.ENTER)
    names = [name.split("\n")[0].removesuffix(" few") for name in column(browser, 0)]
    assert names == sorted(names, key=str.casefold)


def test_everything_that_is_pressed_is_reached_by_the_tab_key(browser, folder):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    opened(browser, (folder / "report.html").as_uri())
    wanted = browser.execute_script(
        "return [...document.querySelectorAll('a, button, input, summary')]"
        ".filter(one => one.checkVisibility({contentVisibilityAuto: true})).length"
    )
    reached = 0
    for _ in range(4 * wanted):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        tag = browser.execute_script("return document.activeElement.tagName")
        reached += tag in ("A", "BUTTON", "INPUT", "SUMMARY")
        if tag == "BODY":
            break
    assert reached >= wanted


def test_the_box_shows_the_classes_whose_names_hold_what_is_typed(browser, folder):
    from selenium.webdriver.common.by import By

    opened(browser, (folder / "report.html").as_uri())
    browser.find_element(By.ID, "filter").send_keys("DO")
    rows = browser.find_elements(By.CSS_SELECTOR, "#class-table tbody tr")
    assert [row.get_attribute("data-class") for row in rows if row.is_displayed()] == ["dog"]
    parts = browser.find_elements(By.CSS_SELECTOR, "details.class")
    assert {part.get_attribute("data-class") for part in parts if part.is_displayed()} <= {"dog"}
    assert browser.find_element(By.ID, "filtered").text == "1 shown"


def test_a_link_to_a_class_opens_its_mistakes(browser, folder):
    from selenium.webdriver.common.by import By

    opened(browser, (folder / "report.html").as_uri())
    browser.execute_script("for (const part of document.querySelectorAll('details')) part.open = false")
    link = browser.find_element(By.CSS_SELECTOR, "#class-table tbody a")
    place = link.get_attribute("href").partition("#")[2]
    link.click()
    script = "return document.getElementById(arguments[0]).open"
    until(browser, lambda: browser.execute_script(script, place))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 820, 1200])
def test_the_page_is_never_wider_than_the_window(browser, address, width, scheme):
    opened(browser, address, width=width, scheme=scheme)
    browser.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_text_stands_out_from_what_is_behind_it(browser, address, faint_texts, scheme):
    opened(browser, address, scheme=scheme)
    grounds = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (grounds == "rgb(255, 255, 255)") == (scheme == "light")
    assert faint_texts(browser, "script, style, svg") == []


def test_it_prints_on_paper_with_its_pictures(browser, address):
    opened(browser, address, scheme="dark")
    paper = base64.b64decode(
        browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})["data"]
    )
    assert paper.startswith(b"%PDF")
    assert len(paper) > 20_000
    shown_as(browser, scheme="dark", media="print")
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    shown_as(browser, width=718, media="print")  # A4 within Chromium's margins
    for table in ("#figures table", "#class-table"):
        script = "return document.querySelector(arguments[0]).getBoundingClientRect().right"
        assert browser.execute_script(script, table) <= 718
    shown_as(browser)
