package operate

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// F6: an answer that cannot be encoded is no 200.
func TestF6AnswersThatCannotBeEncoded(t *testing.T) {
	if err := answerAdmin(httptest.NewRecorder(), http.StatusOK, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil {
		t.Error("a time that JSON cannot have is answered with 200")
	}
}
