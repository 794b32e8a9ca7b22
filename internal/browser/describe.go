package browser

import "strings"

// mark is a part of User-Agents that names something. The first that fits counts:
// most browsers also name those that they descend from.
type mark struct{ part, name string }

var (
	browserMarks = []mark{
		{"MicroMessenger", "WeChat"},
		{"Edg", "Edge"},
		{"OPR/", "Opera"},
		{"QQBrowser/", "QQ Browser"},
		{"QihooBrowser", "360 Browser"},
		{"SogouMobileBrowser", "Sogou"},
		{"MetaSr", "Sogou"},
		{"YaBrowser/", "Yandex"},
		{"Vivaldi/", "Vivaldi"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"Firefox/", "Firefox"},
		{"FxiOS/", "Firefox"},
		{"Chrome/", "Chrome"},
		{"CriOS/", "Chrome"},
		{"Safari/", "Safari"},
	}
	systemMarks = []mark{
		{"iPhone", "iOS"},
		{"iPad", "iPadOS"},
		{"Windows", "Windows"},
		{"HarmonyOS", "HarmonyOS"},
		{"OpenHarmony", "HarmonyOS"},
		{"Android", "Android"},
		{"Macintosh", "macOS"},
		{"CrOS", "ChromeOS"},
		{"Linux", "Linux"},
	}
)

// unknownBrowser is what has no known mark.
const unknownBrowser = "Unknown browser"

// Describe says in a few words what a User-Agent claims to be, such as "Chrome,
// Windows", in words of this package only.
func Describe(userAgent string) string {
	name := first(browserMarks, userAgent)
	if name == "" {
		name = unknownBrowser
	}
	if system := first(systemMarks, userAgent); system != "" {
		name += ", " + system
	}
	return name
}

func first(marks []mark, text string) string {
	for _, m := range marks {
		if strings.Contains(text, m.part) {
			return m.name
		}
	}
	return ""
}
