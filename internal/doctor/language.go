package doctor

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// Language is what findings are told in to people. Programs read JSON, which is
// always in English.
type Language string

// The languages.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// LanguageOf is the language that was asked for, or without a wish that of the
// locale, where the first variable that is set decides, as POSIX has it.
func LanguageOf(wish string, getenv func(string) string) (Language, error) {
	switch Language(wish) {
	case English, Chinese:
		return Language(wish), nil
	case "":
	default:
		return "", fmt.Errorf("--lang must be %s or %s", English, Chinese)
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := getenv(name); locale != "" {
			language, _, _ := strings.Cut(strings.ToLower(locale), "_")
			language, _, _ = strings.Cut(language, ".")
			language, _, _ = strings.Cut(language, "-")
			if language == string(Chinese) {
				return Chinese, nil
			}
			return English, nil
		}
	}
	return English, nil
}

// phrase is a sentence in both languages. Each %s stands for a text that findings
// differ in, in the same order in both.
type phrase struct{ english, chinese string }

var verb = regexp.MustCompile(`%s`)

// patterns recognise the phrases in what was said in English.
var patterns = sync.OnceValue(func() []*regexp.Regexp {
	var compiled []*regexp.Regexp
	for _, p := range phrases {
		parts := verb.Split(p.english, -1)
		for i, part := range parts {
			parts[i] = regexp.QuoteMeta(part)
		}
		compiled = append(compiled, regexp.MustCompile(`(?s)^`+strings.Join(parts, `(.*?)`)+`$`))
	}
	return compiled
})

// Say puts an English text of this program into the language. What is no phrase,
// such as the words of an operating system, stays as it is; so do the parts of a
// phrase that are none themselves.
func (l Language) Say(english string) string {
	if l != Chinese || english == "" {
		return english
	}
	for i, pattern := range patterns() {
		parts := pattern.FindStringSubmatch(english)
		if parts == nil {
			continue
		}
		said := phrases[i].chinese
		for _, part := range parts[1:] {
			before, after, _ := strings.Cut(said, "%s")
			// A part is put in place once: nothing in it is a place of another one.
			said = before + strings.ReplaceAll(l.Say(part), "%s", "%\x00s") + after
		}
		return strings.ReplaceAll(said, "%\x00s", "%s")
	}
	return english
}
