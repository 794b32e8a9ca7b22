package wording

import (
	"regexp"
	"strings"
)

// hole stands in the text of a mistake for what differs from case to case.
const hole = "…"

// mistake is why a configuration does not load.
type mistake struct {
	// text is what the error says, or the part of it that nothing else says.
	text string
	// correction is what that means and what to do, in Chinese. {1} is what the first
	// hole of the text stands for.
	correction string
}

// CorrectionOf says what to do about an error of loading a configuration. The error is
// in English and names the setting and its line; whoever reads Chinese is told here what
// it means, if it is known.
func CorrectionOf(err error) Text {
	text := Textf("correct what the message names")
	message := err.Error()
	for _, group := range mistakes {
		for _, m := range group.mistakes {
			found := m.pattern().FindStringSubmatch(message)
			if found == nil {
				continue
			}
			text.chinese = filled(m.correction, found[1:])
			return text
		}
	}
	return text
}

// pattern matches the errors that have the text of the mistake. A hole at the end
// reaches as far as the place in the Caddyfile.
func (m mistake) pattern() *regexp.Regexp {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(m.text), hole, "(.+?)")
	if strings.HasSuffix(m.text, hole) {
		pattern += `(?:, at [^ ]*:\d+|\n|$)`
	}
	return regexp.MustCompile(pattern)
}

// filled puts what was found in place of the numbers in braces.
func filled(correction string, found []string) string {
	for i, value := range found {
		correction = strings.ReplaceAll(correction, "{"+string(rune('1'+i))+"}", value)
	}
	return correction
}
