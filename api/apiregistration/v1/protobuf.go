package v1

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Field numbers are the contract's. As elsewhere in the API, strings and numbers are written even where they are
// empty, and references and lists only where they are there.

// writer appends fields.
type writer struct {
	out []byte
	err error
}

func (w *writer) text(field protowire.Number, s string) { w.bytes(field, []byte(s)) }

func (w *writer) bytes(field protowire.Number, b []byte) {
	w.out = protowire.AppendBytes(protowire.AppendTag(w.out, field, protowire.BytesType), b)
}

func (w *writer) number(field protowire.Number, n int64) {
	w.out = protowire.AppendVarint(protowire.AppendTag(w.out, field, protowire.VarintType), uint64(n))
}

func (w *writer) message(field protowire.Number, m interface{ Marshal() ([]byte, error) }) {
	b, err := m.Marshal()
	if err != nil && w.err == nil {
		w.err = err
	}
	w.bytes(field, b)
}

// Marshal writes the object's message.
func (in *APIService) Marshal() ([]byte, error) {
	w := &writer{}
	w.message(1, &in.ObjectMeta)
	w.message(2, &in.Spec)
	w.message(3, &in.Status)
	return w.out, w.err
}

// Marshal writes the list's message.
func (in *APIServiceList) Marshal() ([]byte, error) {
	w := &writer{}
	w.message(1, &in.ListMeta)
	for i := range in.Items {
		w.message(2, &in.Items[i])
	}
	return w.out, w.err
}

// Marshal writes the spec's message.
func (in *APIServiceSpec) Marshal() ([]byte, error) {
	w := &writer{}
	if in.Service != nil {
		w.message(1, in.Service)
	}
	w.text(2, in.Group)
	w.text(3, in.Version)
	w.number(4, int64(protowire.EncodeBool(in.InsecureSkipTLSVerify)))
	if in.CABundle != nil {
		w.bytes(5, in.CABundle)
	}
	w.number(7, int64(in.GroupPriorityMinimum))
	w.number(8, int64(in.VersionPriority))
	return w.out, w.err
}

// Marshal writes the reference's message.
func (in *ServiceReference) Marshal() ([]byte, error) {
	w := &writer{}
	w.text(1, in.Namespace)
	w.text(2, in.Name)
	if in.Port != nil {
		w.number(3, int64(*in.Port))
	}
	return w.out, nil
}

// Marshal writes the status's message.
func (in *APIServiceStatus) Marshal() ([]byte, error) {
	w := &writer{}
	for i := range in.Conditions {
		w.message(1, &in.Conditions[i])
	}
	return w.out, w.err
}

// Marshal writes the condition's message.
func (in *APIServiceCondition) Marshal() ([]byte, error) {
	w := &writer{}
	w.text(1, string(in.Type))
	w.text(2, string(in.Status))
	w.message(3, &in.LastTransitionTime)
	w.text(4, in.Reason)
	w.text(5, in.Message)
	return w.out, w.err
}

// read calls f with each field of a message: b for what has a length, n for numbers.
func read(data []byte, f func(field protowire.Number, b []byte, n int64) error) error {
	for len(data) > 0 {
		field, kind, size := protowire.ConsumeTag(data)
		if size < 0 {
			return fmt.Errorf("reading a field's tag: %w", protowire.ParseError(size))
		}
		data = data[size:]
		var b []byte
		var n uint64
		switch kind {
		case protowire.BytesType:
			b, size = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(data)
		default:
			size = protowire.ConsumeFieldValue(field, kind, data)
		}
		if size < 0 {
			return fmt.Errorf("reading field %d: %w", field, protowire.ParseError(size))
		}
		data = data[size:]
		if err := f(field, b, int64(n)); err != nil {
			return err
		}
	}
	return nil
}

// Reset forgets the object.
func (in *APIService) Reset() { *in = APIService{} }

// Unmarshal reads the object's message.
func (in *APIService) Unmarshal(data []byte) error {
	return read(data, func(field protowire.Number, b []byte, _ int64) error {
		switch field {
		case 1:
			return in.ObjectMeta.Unmarshal(b)
		case 2:
			return in.Spec.Unmarshal(b)
		case 3:
			return in.Status.Unmarshal(b)
		}
		return nil
	})
}

// Reset forgets the list.
func (in *APIServiceList) Reset() { *in = APIServiceList{} }

// Unmarshal reads the list's message.
func (in *APIServiceList) Unmarshal(data []byte) error {
	return read(data, func(field protowire.Number, b []byte, _ int64) error {
		switch field {
		case 1:
			return in.ListMeta.Unmarshal(b)
		case 2:
			in.Items = append(in.Items, APIService{})
			return in.Items[len(in.Items)-1].Unmarshal(b)
		}
		return nil
	})
}

// Unmarshal reads the spec's message.
func (in *APIServiceSpec) Unmarshal(data []byte) error {
	return read(data, func(field protowire.Number, b []byte, n int64) error {
		switch field {
		case 1:
			in.Service = &ServiceReference{}
			return in.Service.Unmarshal(b)
		case 2:
			in.Group = string(b)
		case 3:
			in.Version = string(b)
		case 4:
			in.InsecureSkipTLSVerify = protowire.DecodeBool(uint64(n))
		case 5:
			in.CABundle = append([]byte{}, b...)
		case 7:
			in.GroupPriorityMinimum = int32(n)
		case 8:
			in.VersionPriority = int32(n)
		}
		return nil
	})
}

// Unmarshal reads the reference's message.
func (in *ServiceReference) Unmarshal(data []byte) error {
	return read(data, func(field protowire.Number, b []byte, n int64) error {
		switch field {
		case 1:
			in.Namespace = string(b)
		case 2:
			in.Name = string(b)
		case 3:
			in.Port = new(int32(n))
		}
		return nil
	})
}

// Unmarshal reads the status's message.
func (in *APIServiceStatus) Unmarshal(data []byte) error {
	return read(data, func(field protowire.Number, b []byte, _ int64) error {
		if field != 1 {
			return nil
		}
		in.Conditions = append(in.Conditions, APIServiceCondition{})
		return in.Conditions[len(in.Conditions)-1].Unmarshal(b)
	})
}

// Unmarshal reads the condition's message.
func (in *APIServiceCondition) Unmarshal(data []byte) error {
	return read(data, func(field protowire.Number, b []byte, _ int64) error {
		switch field {
		case 1:
			in.Type = APIServiceConditionType(b)
		case 2:
			in.Status = ConditionStatus(b)
		case 3:
			in.LastTransitionTime = metav1.Time{}
			return in.LastTransitionTime.Unmarshal(b)
		case 4:
			in.Reason = string(b)
		case 5:
			in.Message = string(b)
		}
		return nil
	})
}
