package simulator

import (
	"bytes"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestMiniProgramCodesAreDrawn(t *testing.T) {
	s := &Site{Server: New()}
	token := call(
		t, s, http.MethodPost, "/cgi-bin/stable_token", `{"grant_type":"client_credential","appid":"`+appID+`","secret":"`+secret+`"}`,
	)["access_token"].(string)
	draw := func(body string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, codePath+"?access_token="+token, strings.NewReader(body)))
		return rec
	}
	rec := draw(`{"scene":"AAAAAAAAAAAAAAAAAAAA-_","page":"pages/scan/scan","env_version":"trial","check_path":false,"width":280,"is_hyaline":false,"auto_color":true,"line_color":{"r":0,"g":0,"b":0}}`)
	picture, err := png.Decode(rec.Body)
	if err != nil || rec.Header().Get("Content-Type") != "image/png" {
		t.Fatalf("%v %v", rec.Header(), err)
	}
	if size := picture.Bounds().Size(); size.X < 150 || size.X != size.Y || size.X > 280 {
		t.Errorf("size %v", size)
	}
	one, other := draw(`{"scene":"a","page":"p"}`).Body.Bytes(), draw(`{"scene":"b","page":"p"}`).Body.Bytes()
	if bytes.Equal(one, other) {
		t.Error("two scenes have one code")
	}
	for body, errcode := range map[string]float64{
		`{`: 47001, `{"scene":""}`: 40169, `{"scene":"` + strings.Repeat("a", 33) + `"}`: 40169, `{"scene":"a b"}`: 40169, `{"scene":"a","page":"/p"}`: 41030,
		`{"scene":"a","width":100}`: 40097, `{"scene":"a","env_version":"beta"}`: 40097,
	} {
		wantErrcode(t, call(t, s, http.MethodPost, codePath+"?access_token="+token, body), errcode)
	}
	wantErrcode(t, call(t, s, http.MethodPost, codePath+"?access_token=x", `{"scene":"a"}`), 40001)
	call(t, s, http.MethodPost, "/simulator/answer", `{"errcode":45009,"times":1}`)
	wantErrcode(t, call(t, s, http.MethodPost, codePath+"?access_token="+token, `{"scene":"a"}`), 45009)
}
