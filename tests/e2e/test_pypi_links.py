"""Links of every kind that pages have: through the cache all lead to its files, or nowhere."""

import itertools
import json

import pytest

from harness.faulty import Reply
from harness.pypi_index import ACCEPT_HTML, ACCEPT_JSON, JSON_TYPE, hexdigest, make_wheel
from harness.pypi_pages import links

pytestmark = pytest.mark.quick

FORMS = {"json": ACCEPT_JSON, "html": ACCEPT_HTML}
_numbers = itertools.count()


@pytest.fixture
def name():
    """Of a project of the test's own."""
    return f"linked-{next(_numbers)}"


@pytest.fixture
def upload(shared_index, name):
    return shared_index.add_wheel(name)


def page_of(name: str) -> str:
    return f"/pypi/simple/{name}/"


def check_link(daemon, upload, name: str, accept, host: str):
    """The page's link leads to the file, from wherever the page is."""
    page = page_of(name)
    link = links(daemon.get(page, [accept]), page)[upload.filename]
    assert link.target == f"{page}files/{host}{upload.path}"
    assert not link.href.startswith(("http", "/"))
    answer = daemon.get(link.target)
    assert (answer.status, answer.body) == (200, upload.data)


def served_as(index, name: str, media_type: str, body: bytes):
    """The project's page is this, in whatever form it is asked for."""
    index.pages.script(f"/simple/{name}/", Reply(headers={"Content-Type": media_type}, body=body))


# What a page has for a file, and which of the two origins it means.
LINKS = {
    "absolute": ("http://FILES", "files"),
    "upper-case scheme": ("HTTP://FILES", "files"),
    "without scheme": ("//FILES", "files"),
    "from the root": ("", "pages"),
    "from the page": ("../..", "pages"),
    "with dots": ("./../x/./../..", "pages"),
    "with too many dots": ("../../../../..", "pages"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", LINKS)
def test_every_kind_of_link_leads_to_its_file(shared_pypi, shared_index, upload, name, form, kind):
    prefix, origin = LINKS[kind]
    hosts = {"pages": f"127.0.0.1:{shared_index.pages.port}",
             "files": f"127.0.0.1:{shared_index.files.port}"}
    upload.url = prefix.replace("FILES", hosts["files"]) + upload.path
    check_link(shared_pypi, upload, name, FORMS[form], hosts[origin])


@pytest.mark.parametrize("base, prefix", [
    ("http://HOST/", "."), ("/deep/er/page", "../.."), ("//HOST/x/", "")])
def test_a_base_of_the_upstream_leads_nobody_astray(shared_pypi, shared_index, upload, name, base,
                                                    prefix):
    """Relative links of ours that were resolved against it would end elsewhere."""
    host = f"127.0.0.1:{shared_index.pages.port}"
    upload.url = prefix + upload.path
    served_as(shared_index, name, "text/html",
              shared_index.html_page(name, base.replace("HOST", host)))
    check_link(shared_pypi, upload, name, ACCEPT_HTML, host)


NOWHERE = ["file:///etc/passwd", "javascript:alert(1)", "ftp://h.test/a.whl", "data:text/plain,x",
           "http://", "http://u:p@127.0.0.1:1/a.whl", "gopher://127.0.0.1/x", "http:///a.whl",
           "http://127.0.0.1:99999/a.whl", "//", "http://[::1/a.whl", "http://h.test:x/a.whl"]


@pytest.mark.parametrize("form", FORMS)
def test_a_link_to_nowhere_good_is_not_passed_on(shared_pypi, shared_index, name, form):
    good = make_wheel(name)
    bad = [make_wheel(name, f"2.{number}") for number in range(len(NOWHERE))]
    for upload, url in zip(bad, NOWHERE):
        upload.url = url
    shared_index.add(name, good, *bad)
    page = page_of(name)
    answer = shared_pypi.get(page, [FORMS[form]])
    found = links(answer, page)
    assert found[good.filename].target == shared_index.target(name, good)
    for upload in bad:
        assert found[upload.filename].href not in NOWHERE
        leads_to = found[upload.filename].target
        if leads_to != "about:invalid":
            assert leads_to.startswith(page), upload.url
            assert shared_pypi.get(leads_to).status in (400, 403, 404), upload.url


def test_a_link_with_entities_and_a_query_is_read_and_written_right(shared_pypi, shared_index,
                                                                    name):
    upload = make_wheel(name)
    query = f"name=a&file={upload.filename}"
    upload.url = f"{shared_index.files.url}/get?{query}#sha256={hexdigest(upload.data)}"
    shared_index.add(name, upload)
    shared_index.files.script("/get", lambda seen: Reply(
        body=upload.data if query in seen.target else b"wrong"))
    page = page_of(name)
    link = links(shared_pypi.get(page, [ACCEPT_HTML]), page)[upload.filename]
    assert link.fragment == f"sha256={hexdigest(upload.data)}"
    assert shared_pypi.get(link.target).body == upload.data


def test_json_with_escaped_links_is_read_and_written_right(shared_pypi, shared_index, upload, name):
    """JSON may escape any letter, and often does the slash."""
    page = shared_index.json_page(name).replace(b"/packages/", rb"\/p\u0061ckages\/")
    assert json.loads(page) == json.loads(shared_index.json_page(name))
    served_as(shared_index, name, JSON_TYPE, page)
    check_link(shared_pypi, upload, name, ACCEPT_JSON, shared_index.file_host)


HTML_AS_IT_COMES = {
    "single quotes": "<a href='{url}'>{name}</a>",
    "no quotes": "<a href={url}>{name}</a>",
    "upper case": '<A HREF="{url}">{name}</A>',
    "lines inside": '<a\n\tdata-x=">"\n href\n=\n"{url}"\n>{name}</a>',
    "spaces around the link": '<a href="  {url}\n">{name}</a>',
    "entities in the link": '<a href="{entities}">{name}</a>',
    "a comment before it": '<!-- <a href="http://evil.test/x">{name}</a> -->'
                           '<a href="{url}">{name}</a>',
    "a script before it": '<script>"<a href=\'http://evil.test/x\'>"</script>'
                          '<a href="{url}">{name}</a>',
    "nothing else at all": '<a href="{url}">{name}',
}


@pytest.mark.parametrize("shape", HTML_AS_IT_COMES)
def test_html_as_it_comes_is_understood(shared_pypi, shared_index, upload, name, shape):
    url = f"{shared_index.link(upload)}#sha256={hexdigest(upload.data)}"
    text = HTML_AS_IT_COMES[shape].format(url=url, name=upload.filename, entities="".join(
        f"&#{ord(letter)};" if letter in "/:w" else letter for letter in url))
    served_as(shared_index, name, "text/html", (
        f"<!DOCTYPE html><html><head><title>x</title></head><body>{text}</body></html>").encode())
    check_link(shared_pypi, upload, name, ACCEPT_HTML, shared_index.file_host)


def test_no_second_href_leads_elsewhere(shared_pypi, shared_index, upload, name):
    """Some parsers take the first of two attributes, some the last."""
    served_as(shared_index, name, "text/html", (
        f'<!DOCTYPE html><a href="http://evil.test/1" href="{shared_index.link(upload)}" '
        f"HREF='http://evil.test/2'>{upload.filename}</a>").encode())
    page = shared_pypi.completed(page_of(name), [ACCEPT_HTML])
    assert page is None or b"//evil.test" not in page
