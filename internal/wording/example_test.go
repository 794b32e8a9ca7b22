package wording_test

import (
	"fmt"

	"github.com/caddy-wechat/gateway/internal/wording"
)

// Texts are written in English where they are made; the language is chosen where they
// are shown. TestTextsAreWhollyInChinese finds those that have no Chinese.
func ExampleTextf() {
	text := wording.Textf("correct what the message names")
	fmt.Println(text.In(wording.English))
	fmt.Println(text.In(wording.Chinese))
	// Output:
	// correct what the message names
	// 按提示改正
}
