package endpoint

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/objectjson"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// rowsText is some rows of a table, with gaps where cells say how long ago something was.
type rowsText struct {
	text  []byte
	at    []int // the places of the gaps in the text
	times []time.Time
}

// ages are the texts for gaps.
func ages(times []time.Time, now time.Time) [][]byte {
	out := make([][]byte, len(times))
	for i, t := range times {
		out[i] = []byte(escaped.Replace(column.Ago{Time: t}.Text(now)))
	}
	return out
}

// escaped is what encoding/json does to the age of what is yet to come: "<invalid>".
var escaped = strings.NewReplacer("<", `\u003c`, ">", `\u003e`)

// filled is the text with its gaps filled.
func (t *rowsText) filled(texts [][]byte) (out []byte) {
	from := 0
	for i, at := range t.at {
		out = append(append(out, t.text[from:at]...), texts[i]...)
		from = at
	}
	return append(out, t.text[from:]...)
}

// marshal appends a value as JSON.
func (t *rowsText) marshal(v any) (err error) {
	t.text, err = objectjson.Append(t.text, v)
	return err
}

// cell appends a cell. An age is a string with a gap in it.
func (t *rowsText) cell(v any) error {
	ago, is := v.(column.Ago)
	if !is {
		return t.marshal(v)
	}
	if err := t.marshal(ago.Before); err != nil {
		return err
	}
	t.text = t.text[:len(t.text)-1]
	t.at, t.times = append(t.at, len(t.text)), append(t.times, ago.Time)
	after, err := objectjson.Marshal(ago.After)
	if err == nil {
		t.text = append(t.text, after[1:]...)
	}
	return err
}

// tableList is how a list is answered as a table.
type tableList struct {
	s       *Served
	version string // of the form
	include metav1.IncludeObjectPolicy
	now     time.Time
	buf     []byte
}

// rowsForm names the rows of a run.
type rowsForm struct {
	kind    schema.GroupVersionKind
	version string
	include metav1.IncludeObjectPolicy
}

// sharedRows are the rows of a run as answers share them.
type sharedRows struct {
	*watchcache.Gapped
	times []time.Time
}

// rows makes the rows of entries. Where the result is shared nothing is kept that is made on the way.
func (t *tableList) rows(run []*watchcache.Entry, shared bool) (*rowsText, error) {
	size := 0
	for _, e := range run {
		size += len(e.Value())
	}
	out := &rowsText{text: make([]byte, 0, size)}
	for i, e := range run {
		object := t.s.Object
		if shared {
			object = t.s.passingObject
		}
		o, err := object(e)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.text = append(out.text, ',')
		}
		if err := t.row(out, o); err != nil {
			return nil, err
		}
		out.text = append(out.text, '}')
	}
	return out, nil
}

func (t *tableList) row(out *rowsText, o resource.Object) error {
	between := `{"cells":[`
	for _, c := range t.s.cells(o) {
		out.text = append(out.text, between...)
		if err := out.cell(c); err != nil {
			return err
		}
		between = ","
	}
	out.text = append(out.text, ']')
	if t.s.RowConditions != nil {
		if conditions := t.s.RowConditions(o); len(conditions) > 0 {
			out.text = append(out.text, `,"conditions":`...)
			if err := out.marshal(conditions); err != nil {
				return err
			}
		}
	}
	out.text = append(out.text, `,"object":`...)
	switch t.include {
	case metav1.IncludeMetadata:
		return out.marshal(t.s.partial(o, t.version))
	case metav1.IncludeObject:
		served, err := t.s.fromStored(o)
		if err != nil {
			return err
		}
		return out.marshal(served)
	}
	out.text = append(out.text, "null"...)
	return nil
}

// shared gives the rows of a run as they are now, until it is called again. They are deflated once, and again when an age has become longer or
// shorter: that of a young object does so every few seconds, and that of others seldom.
func (t *tableList) shared(c *watchcache.Cache, run []*watchcache.Entry) (*watchcache.Block, error) {
	var texts [][]byte
	fits := func(v any) bool {
		rows := v.(*sharedRows)
		texts = ages(rows.times, t.now)
		return rows.Fits(texts)
	}
	v, err := c.Made(rowsForm{t.s.Kind, t.version, t.include}, run, fits, func() (any, int, error) {
		rows, err := t.rows(run, true)
		if err != nil {
			return nil, 0, err
		}
		texts = ages(rows.times, t.now)
		lengths := make([]int, len(texts))
		for i := range texts {
			lengths[i] = len(texts[i])
		}
		g := watchcache.NewGapped(rows.text, rows.at, lengths)
		return &sharedRows{g, rows.times}, g.Size() + 32*len(rows.times), nil
	})
	if err != nil {
		return nil, err
	}
	b := v.(*sharedRows).Filled(t.buf[:0], texts)
	t.buf = b.Deflated
	return b, nil
}

// write puts a table together: what stands before its rows, those, and what stands behind them.
func (t *tableList) write(out parts, f format, head *metav1.Table, p *page) error {
	text, err := objectjson.Marshal(head)
	if err != nil {
		return err
	}
	around, err := framed(text[:len(text)-len("[]}")], f)
	if err != nil {
		return err
	}
	between := around.head
	for run := range watchcache.Runs(p.entries) {
		if err := out.text(between); err != nil {
			return err
		}
		if err := t.writeRun(out, f, run); err != nil {
			return err
		}
		between = []byte(f.between())
	}
	return out.text(around.tail)
}

// writeRun writes the rows of a run. Those of compact answers are shared.
func (t *tableList) writeRun(out parts, f format, run []*watchcache.Entry) error {
	o, streams := out.(blocks)
	if streams && !f.dresses() {
		b, err := t.shared(t.s.Cache, run)
		if err != nil {
			return err
		}
		return o.block(b)
	}
	rows, err := t.rows(run, streams)
	if err != nil {
		return err
	}
	text := rows.filled(ages(rows.times, t.now))
	if !streams {
		return out.text(text)
	}
	if text, err = dressedItems(text, f); err != nil {
		return err
	}
	b, err := watchcache.Deflate(text)
	if err != nil {
		return err
	}
	return o.block(b)
}

// writeTable answers a list as a table.
func (s *Served) writeTable(w http.ResponseWriter, r *http.Request, f format, p *page) {
	include, err := includeOf(r)
	if err != nil {
		fail(w, r, err)
		return
	}
	if len(p.entries) == 0 {
		write(w, r, f, http.StatusOK, s.tableHead(p, f.version, s.noRows()))
		return
	}
	if s.SortKey != nil {
		if p.entries, err = s.ranked(p.entries); err != nil {
			fail(w, r, err)
			return
		}
	}
	s.respond(w, r, f, p, s.fillTable(p, f.version, include))
}

// ranked orders entries as the rows of a table.
func (s *Served) ranked(entries []*watchcache.Entry) ([]*watchcache.Entry, error) {
	sortKeys := make(map[*watchcache.Entry]int64, len(entries))
	for _, e := range entries {
		o, err := s.Object(e)
		if err != nil {
			return nil, err
		}
		sortKeys[e] = s.SortKey(o)
	}
	return slices.SortedStableFunc(slices.Values(entries), func(a, b *watchcache.Entry) int { return cmp.Compare(sortKeys[a], sortKeys[b]) }), nil
}

// tableHead is a table without objects.
func (s *Served) tableHead(p *page, version string, rows []metav1.TableRow) *metav1.Table {
	return &metav1.Table{TypeMeta: tableType(version), ListMeta: p.meta, ColumnDefinitions: s.columns(), Rows: rows}
}

func (s *Served) fillTable(p *page, version string, include metav1.IncludeObjectPolicy) filler {
	t := &tableList{s: s, version: version, include: include, now: s.now()}
	head := s.tableHead(p, version, []metav1.TableRow{})
	return func(out parts, f format, _ bool) error { return t.write(out, f, head, p) }
}
