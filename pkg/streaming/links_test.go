package streaming

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAPageThatCannotBeTranslatedEndsItsAnswerAlone(t *testing.T) {
	answer := &http.Response{Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`<p><a href="/x">`))}
	rewriteLinks(answer, func(string) string { panic("no such place") })
	if b, err := io.ReadAll(answer.Body); err == nil || !strings.Contains(err.Error(), "no such place") {
		t.Errorf("%q, %v", b, err)
	}
}

func TestNothingIsSaidOfTheBytesThatAPageHad(t *testing.T) {
	answer := &http.Response{Header: http.Header{"Last-Modified": {"x"}}, Body: io.NopCloser(strings.NewReader(`<p>`))}
	for _, name := range ofBytes {
		answer.Header.Set(name, "x")
	}
	rewriteLinks(answer, strings.ToUpper)
	if _, err := io.ReadAll(answer.Body); err != nil || len(answer.Header) != 1 {
		t.Errorf("%v, %v", answer.Header, err)
	}
}

func TestOnlyWholePagesAreTranslated(t *testing.T) {
	for _, one := range []struct {
		code      int
		name, say string
		want      bool
	}{
		{200, "", "", true},
		{404, "Content-Encoding", "gzip", true},
		{200, "Content-Encoding", "br", false},
		{200, "Content-Type", "text/plain", false},
		{206, "", "", false},
		{200, "Content-Range", "bytes 1-2/3", false},
	} {
		answer := &http.Response{StatusCode: one.code, Header: http.Header{"Content-Type": {"text/html"}}, ContentLength: -1}
		if one.name != "" {
			answer.Header.Set(one.name, one.say)
		}
		if got := isPage(answer); got != one.want {
			t.Errorf("%d, %v: %t", one.code, answer.Header, got)
		}
	}
}
