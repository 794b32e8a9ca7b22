package caddymodule_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// pairs are the pages in English and the same in Chinese.
var pairs = map[string]string{
	"README.md":                    "README.zh-CN.md",
	"client/README.md":             "docs/zh-CN/client.md",
	"SECURITY.md":                  "docs/zh-CN/security.md",
	"CONTRIBUTING.md":              "docs/zh-CN/contributing.md",
	"docs/scale.md":                "docs/zh-CN/scale.md",
	"docs/reference.md":            "docs/zh-CN/reference.md",
	"docs/operations.md":           "docs/zh-CN/operations.md",
	"docs/browsers.md":             "docs/zh-CN/browsers.md",
	"docs/bridges.md":              "docs/zh-CN/bridges.md",
	"docs/user-data.md":            "docs/zh-CN/user-data.md",
	"docs/login-hook.md":           "docs/zh-CN/login-hook.md",
	"docs/deploy/README.md":        "docs/zh-CN/deploy.md",
	"docs/cloud-hosting/README.md": "docs/zh-CN/cloud-hosting.md",
	"docs/apps/README.md":          "docs/zh-CN/apps.md",
	"docs/monitoring/README.md":    "docs/zh-CN/monitoring.md",
	"docs/apps/aspnet.md":          "docs/zh-CN/apps/aspnet.md",
	"docs/apps/django.md":          "docs/zh-CN/apps/django.md",
	"docs/apps/express.md":         "docs/zh-CN/apps/express.md",
	"docs/apps/fastapi.md":         "docs/zh-CN/apps/fastapi.md",
	"docs/apps/flask.md":           "docs/zh-CN/apps/flask.md",
	"docs/apps/gin.md":             "docs/zh-CN/apps/gin.md",
	"docs/apps/laravel.md":         "docs/zh-CN/apps/laravel.md",
	"docs/apps/nestjs.md":          "docs/zh-CN/apps/nestjs.md",
	"docs/apps/php.md":             "docs/zh-CN/apps/php.md",
	"docs/apps/rails.md":           "docs/zh-CN/apps/rails.md",
	"docs/apps/spring-boot.md":     "docs/zh-CN/apps/spring-boot.md",
}

// englishOnly are the pages for those who work on the gateway itself.
var englishOnly = []string{"docs/architecture.md"}

// summaries are pages in English and what they say in short in Chinese.
var summaries = map[string]string{
	"docs/performance.md": "docs/zh-CN/performance.md",
	"docs/threats.md":     "docs/zh-CN/threats.md",
}

// chineseOnly are what is said in English in place.
var chineseOnly = []string{"docs/zh-CN/load-errors.md"}

// documentation are all pages for people, by their paths from the root.
func documentation(t *testing.T) []string {
	t.Helper()
	pages := []string{"README.md", "README.zh-CN.md", "SECURITY.md", "CONTRIBUTING.md", "client/README.md"}
	err := filepath.WalkDir("../docs", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "node_modules" {
			return fs.SkipDir
		}
		if err == nil && strings.HasSuffix(path, ".md") {
			pages = append(pages, strings.TrimPrefix(filepath.ToSlash(path), "../"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// comment is what may differ in a block of code.
var comment = regexp.MustCompile(`(?m)(^|[ \t]+)(#|//) .*$`)

// blocks are the fenced blocks of a page without their comments.
func blocks(page string) []string {
	var found []string
	for _, m := range fence.FindAllStringSubmatch(page, -1) {
		found = append(found, m[1]+"\n"+comment.ReplaceAllString(m[2], ""))
	}
	return found
}

// A Chinese page has the names, the code and the rows of the English one: settings,
// routes, codes, commands, metrics. Both are linked at the top of each other.
func TestChinesePagesHaveTheSameNames(t *testing.T) {
	for english, chinese := range pairs {
		t.Run(chinese, func(t *testing.T) {
			en, zh := readDoc(t, english), readDoc(t, chinese)
			enSpans, zhSpans := spans(en), spans(zh)
			for _, name := range slices.Sorted(maps.Keys(enSpans)) {
				if !zhSpans[name] {
					t.Errorf("%s lacks `%s`", chinese, name)
				}
			}
			for _, name := range slices.Sorted(maps.Keys(zhSpans)) {
				if !enSpans[name] {
					t.Errorf("%s lacks `%s`", english, name)
				}
			}
			enBlocks, zhBlocks := blocks(en), blocks(zh)
			if len(enBlocks) != len(zhBlocks) {
				t.Fatalf("%d blocks of code in English, %d in Chinese", len(enBlocks), len(zhBlocks))
			}
			for i := range enBlocks {
				if enBlocks[i] != zhBlocks[i] {
					t.Errorf("block %d differs:\n%s\n%s", i+1, enBlocks[i], zhBlocks[i])
				}
			}
			if want, got := len(tableRow.FindAllString(en, -1)), len(tableRow.FindAllString(zh, -1)); got != want {
				t.Errorf("%d rows in English, %d in Chinese", want, got)
			}
			for _, side := range []struct{ page, from, to, label string }{{en, english, chinese, "中文"}, {zh, chinese, english, "English"}} {
				link, err := filepath.Rel(filepath.Dir(side.from), side.to)
				if err != nil {
					t.Fatal(err)
				}
				head, _, _ := strings.Cut(side.page, "\n## ")
				if !strings.Contains(head, "["+side.label+"]("+filepath.ToSlash(link)+")") {
					t.Errorf("%s does not link to %s at its top", side.from, link)
				}
			}
		})
	}
}

// Whoever reads Chinese finds every page for users and operators in it.
func TestPagesAreInBothLanguages(t *testing.T) {
	inChinese := slices.Concat(slices.Collect(maps.Values(pairs)), slices.Collect(maps.Values(summaries)))
	for _, page := range documentation(t) {
		if pairs[page] == "" && summaries[page] == "" && !slices.Contains(inChinese, page) && !slices.Contains(englishOnly, page) &&
			!slices.Contains(chineseOnly, page) {
			t.Errorf("%s is in one language only", page)
		}
	}
}

// Nobody who reads Chinese is led to an English page that there is in Chinese, but by
// the link at the top. Pages in English lead to English ones.
func TestLinksStayInTheirLanguage(t *testing.T) {
	others := make(map[string]string)
	inChinese := make(map[string]bool)
	for _, both := range []map[string]string{pairs, summaries} {
		for english, chinese := range both {
			others[english], others[chinese] = chinese, english
			inChinese[chinese] = true
		}
	}
	for page, other := range others {
		for _, m := range pageLink.FindAllStringSubmatch(fence.ReplaceAllString(readDoc(t, page), ""), -1) {
			file, _, _ := strings.Cut(m[1], "#")
			target := filepath.ToSlash(filepath.Join(filepath.Dir(page), file))
			if file == "" || target == other {
				continue
			}
			if others[target] != "" && inChinese[page] != inChinese[target] {
				t.Errorf("%s links to %s, in place of %s", page, target, others[target])
			}
		}
	}
}

// A summary names nothing that its English page does not, no kind of threat is left
// out, and both are linked at the top of each other.
func TestSummariesSayNothingElse(t *testing.T) {
	for english, chinese := range summaries {
		en, zh := readDoc(t, english), readDoc(t, chinese)
		named := spans(en)
		for _, name := range slices.Sorted(maps.Keys(spans(zh))) {
			if !named[name] {
				t.Errorf("%s lacks `%s` of %s", english, name, chinese)
			}
		}
		for _, side := range [][2]string{{en, "[中文](zh-CN/" + filepath.Base(chinese) + ")"}, {zh, "[English](../" + filepath.Base(english) + ")"}} {
			if head, _, _ := strings.Cut(side[0], "\n## "); !strings.Contains(head, side[1]) {
				t.Errorf("%s, %s: no link %s at the top", english, chinese, side[1])
			}
		}
	}
	kinds, explained := make(map[string]bool), make(map[string]bool)
	for _, row := range threatRow.FindAllStringSubmatch(readDoc(t, "docs/threats.md"), -1) {
		kinds[row[1][:1]] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^## ([A-Z])：`).FindAllStringSubmatch(readDoc(t, "docs/zh-CN/threats.md"), -1) {
		explained[m[1]] = true
	}
	if !maps.Equal(kinds, explained) {
		t.Errorf("kinds of threats: %v, in Chinese %v", slices.Sorted(maps.Keys(kinds)), slices.Sorted(maps.Keys(explained)))
	}
}

// What is to be changed for real accounts is said in both languages.
func TestExampleIsInBothLanguages(t *testing.T) {
	example := readDoc(t, "Caddyfile.example")
	english, chinese := strings.Count(example, "# REAL: "), strings.Count(example, "# 正式：")
	if english < 10 || chinese != english {
		t.Errorf("%d places are marked in English, %d in Chinese", english, chinese)
	}
}

var (
	pageLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	linked   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// anchors are the ids that GitHub gives to the headings of a page.
func anchors(page string) map[string]bool {
	found := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		text := strings.ToLower(linked.ReplaceAllString(m[1], "$1"))
		found[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsNumber(r), r == '-', r == '_':
				return r
			}
			return -1
		}, text)] = true
	}
	return found
}

// Links of the documentation lead to a file that is there, and to a heading of it.
func TestLinksLeadSomewhere(t *testing.T) {
	checked := 0
	for _, page := range documentation(t) {
		text := readDoc(t, page)
		for _, m := range pageLink.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			checked++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(filepath.Join("..", target)); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, m[1])
				continue
			}
			if anchor != "" && !anchors(readDoc(t, target))[anchor] {
				t.Errorf("%s links to %s, which has no such heading", page, m[1])
			}
		}
	}
	if checked < 60 {
		t.Errorf("%d links found", checked)
	}
}
