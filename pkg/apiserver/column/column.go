// Package column holds the words in which resources declare their Table form: the columns that most kinds
// have, and the cells that read the same everywhere (ages, selectors, shortened lists). It knows no kind.
package column

import (
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

// Since says how long ago t was: "5d", "3m20s".
func Since(t metav1.Time, now time.Time) string {
	if t.IsZero() {
		return Unknown
	}
	return duration.HumanDuration(now.Sub(t.Time))
}

// SinceMicro is Since for a time with microseconds.
func SinceMicro(t metav1.MicroTime, now time.Time) string {
	if t.IsZero() {
		return Unknown
	}
	return duration.HumanDuration(now.Sub(t.Time))
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
