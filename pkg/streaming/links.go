package streaming

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// mostToken bounds one tag, or one piece of text, of a page that is looked at.
const mostToken = 1 << 20

// addresses are the attributes of an HTML element that hold addresses.
func addresses(element string) []string {
	switch element {
	case "a", "area", "base", "link":
		return []string{"href"}
	case "audio", "embed", "script", "source":
		return []string{"src"}
	case "blockquote", "del", "ins", "q":
		return []string{"cite"}
	case "frame", "iframe":
		return []string{"longdesc", "src"}
	case "applet":
		return []string{"codebase"}
	case "body":
		return []string{"background"}
	case "button":
		return []string{"formaction"}
	case "command":
		return []string{"icon"}
	case "form":
		return []string{"action"}
	case "head":
		return []string{"profile"}
	case "html":
		return []string{"manifest"}
	case "img":
		return []string{"longdesc", "src", "usemap"}
	case "input":
		return []string{"src", "usemap", "formaction"}
	case "object":
		return []string{"classid", "codebase", "data", "usemap"}
	case "video":
		return []string{"poster", "src"}
	}
	return nil
}

// ofBytes are the headers that say something of the very bytes of a page.
var ofBytes = []string{"Accept-Ranges", "Content-Digest", "Content-Length", "Content-MD5", "Digest", "ETag", "Repr-Digest"}

// isPage says whether an answer is HTML in an encoding that can be looked into.
func isPage(answer *http.Response) bool {
	media, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	encoding := answer.Header.Get("Content-Encoding")
	part := answer.StatusCode == http.StatusPartialContent || answer.Header.Get("Content-Range") != "" // of a tag, perhaps
	return !part && strings.TrimSpace(media) == "text/html" && (encoding == "" || encoding == "gzip") && answer.Body != http.NoBody && answer.ContentLength != 0
}

// rewriteLinks translates the addresses in a page while it is read: pages may be large, or never end.
func rewriteLinks(answer *http.Response, translated func(string) string) {
	page, packed := answer.Body, answer.Header.Get("Content-Encoding") == "gzip"
	r, w := io.Pipe()
	go func() {
		defer func() { _ = page.Close() }()
		defer func() { // no page ends the server
			if v := recover(); v != nil {
				_ = w.CloseWithError(fmt.Errorf("panic while translating a page: %v\n%s", v, debug.Stack()))
			}
		}()
		_ = w.CloseWithError(rewriteBody(w, page, packed, translated))
	}()
	answer.Body = rewrittenPage{r, page}
	answer.ContentLength = -1
	for _, name := range ofBytes {
		answer.Header.Del(name)
	}
}

// rewrittenPage ends where it comes from when its reader has seen enough.
type rewrittenPage struct {
	*io.PipeReader
	page io.Closer
}

func (p rewrittenPage) Close() error { return errors.Join(p.PipeReader.Close(), p.page.Close()) }

// flushingReader sends everything that was made of what it gave before it is read on.
type flushingReader struct {
	io.Reader
	send func() error
}

func (e flushingReader) Read(p []byte) (int, error) {
	if err := e.send(); err != nil {
		return 0, err
	}
	return e.Reader.Read(p)
}

// rewriteBody copies a page, packed or not, with its addresses translated.
func rewriteBody(w io.Writer, page io.Reader, packed bool, translated func(string) string) error {
	out := bufio.NewWriter(w)
	if !packed {
		return errors.Join(rewrite(out, flushingReader{page, out.Flush}, translated), out.Flush())
	}
	to := gzip.NewWriter(out)
	from, err := gzip.NewReader(flushingReader{page, func() error { return errors.Join(to.Flush(), out.Flush()) }})
	if err != nil {
		return err
	}
	return errors.Join(rewrite(to, from, translated), to.Close(), out.Flush())
}

// rewrite copies HTML. What has no address that changes is copied to the letter.
func rewrite(to io.Writer, from io.Reader, translated func(string) string) error {
	z := html.NewTokenizer(from)
	z.SetMaxBuf(mostToken)
	for {
		kind := z.Next()
		text := z.Raw()
		switch kind {
		case html.StartTagToken, html.SelfClosingTagToken:
			text = bytes.Clone(text) // for reading the tag changes it
			if t := z.Token(); changed(&t, translated) {
				text = []byte(t.String())
			}
		case html.ErrorToken:
			_, err := to.Write(text)
			if err == nil {
				err = z.Err()
			}
			if errors.Is(err, html.ErrBufferExceeded) { // this is no page: the rest goes as it is
				if _, err = to.Write(z.Buffered()); err == nil {
					_, err = io.Copy(to, from)
				}
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if _, err := to.Write(text); err != nil {
			return err
		}
	}
}

// changed translates the addresses of a tag, and says whether any is another now.
func changed(t *html.Token, translated func(string) string) (any bool) {
	names := addresses(t.Data)
	for i, a := range t.Attr {
		if !slices.Contains(names, a.Key) {
			continue
		}
		if v := translated(a.Val); v != a.Val {
			t.Attr[i].Val, any = v, true
		}
	}
	return any
}
