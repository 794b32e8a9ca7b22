package doctor

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestFindingsAreOneLineEach(t *testing.T) {
	findings := []Finding{
		{"clock", "api.weixin.qq.com", Fail, "two\n\thours behind", "set it"},
		{"config", "", OK, "it loads", ""},
	}
	var text, data strings.Builder
	if err := WriteText(&text, findings, English); err != nil {
		t.Fatal(err)
	}
	if want := "fail  clock api.weixin.qq.com: two hours behind -> set it\nok    config: it loads\n"; text.String() != want {
		t.Errorf("got %q, want %q", text.String(), want)
	}
	if err := WriteJSON(&data, findings); err != nil {
		t.Fatal(err)
	}
	var back []Finding
	if err := json.Unmarshal([]byte(data.String()), &back); err != nil || !reflect.DeepEqual(back, findings) {
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
