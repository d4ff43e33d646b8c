package endpoint

import (
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// observe answers a GET of a resource that is not stored.
func (s *Served) observe(w http.ResponseWriter, r *http.Request, info *request.Info) {
	f, err := negotiate(r, s.protobuf(), true)
	if err != nil {
		fail(w, r, err)
		return
	}
	if info.Verb == "get" {
		list, err := s.Observe(r.Context(), info.Name)
		if err == nil && len(list) == 0 {
			err = apierrors.NewNotFound(s.GVR().GroupResource(), info.Name)
		}
		if err != nil {
			fail(w, r, err)
			return
		}
		s.answer(w, r, f, http.StatusOK, list[0])
		return
	}
	list, err := s.observed(r, info)
	if err != nil {
		fail(w, r, err)
		return
	}
	s.answerObserved(w, r, f, list)
}

// observed looks at the objects that a list selects.
func (s *Served) observed(r *http.Request, info *request.Info) ([]resource.Object, error) {
	opts, err := s.listOptions(r, info)
	if err != nil {
		return nil, err
	}
	if opts.FieldSelector != nil {
		if err := s.checkFields(opts.FieldSelector); err != nil {
			return nil, err
		}
	}
	all, err := s.Observe(r.Context(), "")
	if err != nil {
		return nil, err
	}
	var list []resource.Object
	for _, o := range all {
		if opts.LabelSelector != nil && !opts.LabelSelector.Matches(labels.Set(o.GetLabels())) ||
			opts.FieldSelector != nil && !opts.FieldSelector.Matches(fields.Set{"metadata.name": o.GetName()}) {
			continue
		}
		list = append(list, o)
	}
	return list, nil
}

// answerObserved writes a list of objects that have no entries.
func (s *Served) answerObserved(w http.ResponseWriter, r *http.Request, f format, list []resource.Object) {
	switch f.as {
	case asTable:
		include, err := includeOf(r)
		if err != nil {
			fail(w, r, err)
			return
		}
		t, err := s.table(list, metav1.ListMeta{}, f.version, include)
		if err != nil {
			fail(w, r, err)
			return
		}
		write(w, r, f, http.StatusOK, t)
	case asPartialList:
		p := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{Kind: asPartialList, APIVersion: f.version}}
		for _, o := range list {
			p.Items = append(p.Items, *partial(o, f.version))
		}
		write(w, r, f, http.StatusOK, p)
	case asPartial:
		s.answerList(w, r, f, nil) // which refuses it
	default:
		out := s.NewList()
		items := make([]runtime.Object, len(list))
		for i, o := range list {
			items[i] = o
		}
		if err := meta.SetList(out, items); err != nil {
			fail(w, r, apierrors.NewInternalError(err))
			return
		}
		out.GetObjectKind().SetGroupVersionKind(s.listKind())
		write(w, r, f, http.StatusOK, out)
	}
}
