// Search within the page: the index is a script beside this one, so that it also works from a folder.
(function () {
  "use strict";
  var form = document.getElementById("search");
  if (!form || !window.CATALOGUE) { return; }
  var box = document.getElementById("search-words");
  var list = document.getElementById("search-results");
  var said = document.getElementById("search-count");
  form.hidden = false;

  function matches(entry, words) {
    var title = entry.title.toLowerCase(), text = entry.text.toLowerCase(), rest = entry.words.toLowerCase();
    var score = 0;
    for (var i = 0; i < words.length; i += 1) {
      if (title.indexOf(words[i]) >= 0) { score += 10; }
      else if (text.indexOf(words[i]) >= 0) { score += 3; }
      else if (rest.indexOf(words[i]) >= 0) { score += 1; }
      else { return 0; }
    }
    return score;
  }

  function search() {
    var words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    list.textContent = "";
    if (!words.length) { said.textContent = ""; return; }
    var found = window.CATALOGUE.map(function (entry) { return { entry: entry, score: matches(entry, words) }; })
      .filter(function (one) { return one.score > 0; })
      .sort(function (a, b) { return b.score - a.score || a.entry.title.localeCompare(b.entry.title); });
    said.textContent = found.length === 0 ? "Nothing found" : found.length === 1 ? "1 page found" : found.length + " pages found";
    found.slice(0, 30).forEach(function (one) {
      var item = document.createElement("li"), link = document.createElement("a"), text = document.createElement("p");
      link.href = document.body.getAttribute("data-root") + one.entry.page;
      link.className = "govuk-link govuk-!-font-weight-bold";
      link.textContent = one.entry.title;
      text.className = "govuk-body-s govuk-!-margin-bottom-2";
      text.textContent = one.entry.text.split("\n")[0];
      item.appendChild(link);
      item.appendChild(text);
      list.appendChild(item);
    });
  }

  form.addEventListener("submit", function (event) { event.preventDefault(); search(); });
  box.addEventListener("input", search);
}());
