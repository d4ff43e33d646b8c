// Package column holds the words in which resources declare their Table form: the columns that most kinds
// have, and the cells that read the same everywhere (ages, selectors, shortened lists). It knows no kind.
package column

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/sets"
)

// None is the cell of a list that is empty.
const None = "<none>"

// Unknown is the cell of a time that was never set.
const Unknown = "<unknown>"

// Name is the first column of every kind.
func Name() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name",
		Description: metav1.ObjectMeta{}.SwaggerDoc()["name"]}
}

// Age is the time since creation, in kubectl's short words.
func Age() metav1.TableColumnDefinition {
	return Text("Age", metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"])
}

// Text is a column of strings.
func Text(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "string", Description: description}
}

// Wide is a column of strings that is shown only when all are asked for.
func Wide(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "string", Description: description, Priority: 1}
}

// Integer is a column of whole numbers.
func Integer(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "integer", Description: description}
}

// Boolean is a column of true and false.
func Boolean(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "boolean", Description: description}
}

// Ago is a cell that says how long ago something was, with words around that: "5d", "3 (20s ago)". A row is made once
// and shown many times, so that only who shows it knows what the time is.
type Ago struct {
	Before string
	Time   time.Time
	After  string
}

// Text is the cell at a time.
func (a Ago) Text(now time.Time) string {
	return a.Before + duration.HumanDuration(now.Sub(a.Time)) + a.After
}

// At gives cells as they are at a time.
func At(cells []any, now time.Time) []any {
	out := slices.Clone(cells)
	for i, c := range out {
		if a, ok := c.(Ago); ok {
			out[i] = a.Text(now)
		}
	}
	return out
}

// Since says how long ago t was: "5d", "3m20s".
func Since(t metav1.Time) any { return since(t.Time) }

// SinceMicro is Since for a time with microseconds.
func SinceMicro(t metav1.MicroTime) any { return since(t.Time) }

func since(t time.Time) any {
	if t.IsZero() {
		return Unknown
	}
	return Ago{Time: t}
}

// Joined joins the items with commas, or answers None where there is none.
func Joined(items []string) string {
	if len(items) == 0 {
		return None
	}
	return strings.Join(items, ",")
}

// Set joins the different items in order of the alphabet; it is empty where there is none.
func Set(items sets.Set[string]) string {
	return strings.Join(sets.List(items), ",")
}
