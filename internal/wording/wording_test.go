package wording

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"testing"
)

func TestLanguageOfTheLocale(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		want Language
	}{
		{nil, English},
		{map[string]string{"LANG": "zh_CN.UTF-8"}, Chinese},
		{map[string]string{"LANG": "zh"}, Chinese},
		{map[string]string{"LANG": "zh_TW"}, Chinese},
		{map[string]string{"LANG": "de_DE.UTF-8"}, English},
		{map[string]string{"LANG": "C.UTF-8"}, English},
		{map[string]string{"LANG": "zha"}, English},
		{map[string]string{"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_GB"}, English},
		{map[string]string{"LANG": "en_GB", "LC_MESSAGES": "zh_CN@pinyin"}, Chinese},
		{map[string]string{"LANG": "en_GB", "LC_MESSAGES": "en_GB", "LC_ALL": "zh_CN"}, Chinese},
		{map[string]string{"LANG": "zh_CN", "LC_MESSAGES": "zh_CN", "LC_ALL": "C"}, English},
	} {
		if got := OfLocale(func(name string) string { return test.env[name] }); got != test.want {
			t.Errorf("%v is %s, want %s", test.env, got, test.want)
		}
	}
}

func TestLanguageOfAFlag(t *testing.T) {
	for name, want := range map[string]Language{"en": English, "zh": Chinese, "ZH-cn": Chinese, "en_GB.UTF-8": English, "": "", "fr": "", "中文": ""} {
		if got, err := Parse(name); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestTextsInBothLanguages(t *testing.T) {
	inner := Textf("no connection within api_timeout")
	text := Textf("%s (errcode %d)", inner, 40164)
	if got := text.String(); got != "no connection within api_timeout (errcode 40164)" {
		t.Errorf("English: %s", got)
	}
	if got := text.In(Chinese); got != chinese["no connection within api_timeout"]+"（errcode 40164）" {
		t.Errorf("Chinese: %s", got)
	}
	if got := Textf("100%").In(Chinese); got != "100%" {
		t.Errorf("without args: %s", got)
	}
	if got, err := json.Marshal(text); err != nil || string(got) != `"`+text.String()+`"` {
		t.Errorf("JSON: %s, %v", got, err)
	}
	if !(Text{}).IsZero() || text.IsZero() {
		t.Error("IsZero")
	}
}

var (
	verb  = regexp.MustCompile(`%(\[\d+\])?[a-z]`)
	quote = regexp.MustCompile("`[^`]+`")
)

// A translation shows the same things: every value, in any order, and every name in
// back quotes.
func TestTranslationsShowTheSame(t *testing.T) {
	for english, translated := range chinese {
		for _, part := range []*regexp.Regexp{verb, quote} {
			want, got := part.FindAllString(english, -1), part.FindAllString(translated, -1)
			if part == verb && slices.ContainsFunc(got, func(v string) bool { return v[1] == '[' }) {
				if len(got) != len(want) { // in another order, each by its number
					t.Errorf("%q: %q, want %q", translated, got, want)
				}
				continue
			}
			if part == quote {
				slices.Sort(want)
				slices.Sort(got)
			}
			if !slices.Equal(want, got) {
				t.Errorf("%q: %q, want %q", translated, got, want)
			}
		}
	}
	if len(chinese) == 0 {
		t.Error(slices.Collect(maps.Keys(chinese)))
	}
}
