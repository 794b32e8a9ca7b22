package doctor

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/wording"
)

func TestFindingsAreOneLineEach(t *testing.T) {
	findings := []Finding{
		Failf("clock", "api.weixin.qq.com", wording.Textf("set it"), "two\n\t%s behind", "hours"),
		OKf("config", "", "it loads"),
	}
	var text, data strings.Builder
	if err := WriteText(&text, wording.English, findings); err != nil {
		t.Fatal(err)
	}
	if want := "fail  clock api.weixin.qq.com: two hours behind -> set it\nok    config: it loads\n"; text.String() != want {
		t.Errorf("got %q, want %q", text.String(), want)
	}
	if err := WriteJSON(&data, findings); err != nil {
		t.Fatal(err)
	}
	text.Reset()
	if err := WriteText(&text, wording.Chinese, findings); err != nil {
		t.Fatal(err)
	}
	if want := "失败  时钟 api.weixin.qq.com: two hours behind -> set it\n正常  配置: it loads\n"; text.String() != want {
		t.Errorf("got %q, want %q", text.String(), want)
	}
	var back []map[string]string
	want := []map[string]string{
		{"check": "clock", "subject": "api.weixin.qq.com", "status": "fail", "message": "two\n\thours behind", "action": "set it"},
		{"check": "config", "subject": "", "status": "ok", "message": "it loads", "action": ""},
	}
	if err := json.Unmarshal([]byte(data.String()), &back); err != nil || !reflect.DeepEqual(back, want) {
		t.Errorf("got %+v, %v", back, err)
	}
	for _, key := range []string{"check", "subject", "status", "message", "action"} {
		if strings.Count(data.String(), `"`+key+`"`) != 2 {
			t.Errorf("%s is not in every finding: %s", key, &data)
		}
	}
	data.Reset()
	if err := WriteJSON(&data, nil); err != nil || strings.TrimSpace(data.String()) != "[]" {
		t.Errorf("nothing: %q, %v", data.String(), err)
	}
	if !Failed(findings) || Failed(findings[1:]) || Failed([]Finding{{Status: Warn}, {Status: Skip}}) {
		t.Error("only a failure fails")
	}
}
