package page

import (
	"strconv"
	"strings"
)

// lang is a language that pages are written in.
type lang string

const (
	chinese lang = "zh-CN"
	english lang = "en"
)

// language returns the language that the client prefers, English if it names
// neither.
func language(acceptLanguage []string) lang {
	best, bestQuality := english, 0.0
	for _, value := range acceptLanguage {
		for item := range strings.SplitSeq(value, ",") {
			tag, params, _ := strings.Cut(item, ";")
			quality := 1.0
			if q, found := strings.CutPrefix(strings.TrimSpace(params), "q="); found {
				var err error
				if quality, err = strconv.ParseFloat(q, 64); err != nil {
					continue
				}
			}
			primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
			if quality <= bestQuality {
				continue
			}
			switch primary {
			case "zh":
				best, bestQuality = chinese, quality
			case "en":
				best, bestQuality = english, quality
			}
		}
	}
	return best
}
