// Package wording has what operators read on their terminals, in the language that
// they read: texts are written in English where they are made, and [Text] finds the
// same in Chinese when it is shown.
package wording

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
)

// Language is a language that the commands speak.
type Language string

// The languages.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// Parse returns the language that a flag names: en or zh, or a locale as in zh_CN.UTF-8.
func Parse(name string) (Language, error) {
	l := of(name)
	if l != English && l != Chinese {
		return "", fmt.Errorf("%q must be en or zh", name)
	}
	return l, nil
}

// OfLocale returns the language of the locale that the environment says (POSIX.1-2017,
// section 8.2: LC_ALL, then LC_MESSAGES, then LANG). It is English for all that are not
// Chinese.
func OfLocale(getenv func(string) string) Language {
	if of(cmp.Or(getenv("LC_ALL"), getenv("LC_MESSAGES"), getenv("LANG"))) == Chinese {
		return Chinese
	}
	return English
}

// of is the language part of a locale, in lower case.
func of(locale string) Language {
	end := strings.IndexAny(locale, "_-.@")
	if end < 0 {
		end = len(locale)
	}
	return Language(strings.ToLower(locale[:end]))
}

// Text is a text that can be shown in every language. The zero Text is empty.
type Text struct {
	format  string
	args    []any
	chinese string // in place of a translation of the format
}

// Textf makes a text. The format is the English one of [fmt.Sprintf]; without args it is
// the text itself. An arg that is a [Text] is shown in the same language.
func Textf(format string, args ...any) Text { return Text{format: format, args: args} }

// In shows the text in a language, in English where there is no translation.
func (t Text) In(l Language) string {
	if l == Chinese && t.chinese != "" {
		return t.chinese
	}
	format := t.format
	if translated, ok := chinese[format]; ok && l == Chinese {
		format = translated
	}
	if len(t.args) == 0 {
		return format
	}
	args := make([]any, len(t.args))
	for i, arg := range t.args {
		if inner, ok := arg.(Text); ok {
			arg = inner.In(l)
		}
		args[i] = arg
	}
	return fmt.Sprintf(format, args...)
}

// HasChinese reports whether an English format has a Chinese one.
func HasChinese(format string) bool {
	_, ok := chinese[format]
	return ok
}

// String shows the text in English.
func (t Text) String() string { return t.In(English) }

// IsZero reports whether there is no text.
func (t Text) IsZero() bool { return t.format == "" }

// MarshalJSON is the English text: programs read JSON.
func (t Text) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *Text) UnmarshalJSON(data []byte) error {
	*t = Text{}
	return json.Unmarshal(data, &t.format)
}
