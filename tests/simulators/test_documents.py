"""The shell of the simulated services' pages."""

import base64
import hashlib
import re

from simulators.documents import Documents


def test_a_document_has_its_notice_its_title_and_the_style_that_its_policy_names():
    documents = Documents("Simulated", "main { color: red; }\n")
    html = documents.document("A <b> & c", "<p>content</p>")
    assert html.startswith("<!doctype html>\n")
    assert "<title>A &lt;b&gt; &amp; c</title>" in html
    assert '<header class="notice">Simulated</header>\n<main>\n<p>content</p>\n</main>' in html
    (style,) = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    assert style.endswith("}\nmain { color: red; }\n")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert documents.style_source == f"'sha256-{digest}'"
