package apiextensions

import (
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// reviewVersions are the versions of ConversionReview that are spoken.
func reviewVersions() []string { return []string{"v1", "v1beta1"} }

func (r *rules) conversion(c *apiextensions.CustomResourceConversion, at *field.Path) (faults field.ErrorList) {
	if c == nil {
		return nil
	}
	faults = oneOf(at.Child("strategy"), string(c.Strategy), string(apiextensions.NoneConverter), string(apiextensions.WebhookConverter))
	client := at.Child("webhookClientConfig")
	if c.Strategy != apiextensions.WebhookConverter {
		const unset = "should not be set when strategy is not set to Webhook"
		if c.WebhookClientConfig != nil {
			faults = append(faults, field.Forbidden(client, unset))
		}
		if len(c.ConversionReviewVersions) > 0 {
			faults = append(faults, field.Forbidden(at.Child("conversionReviewVersions"), unset))
		}
		return faults
	}
	if w := c.WebhookClientConfig; w == nil {
		faults = append(faults, field.Required(client, "required when strategy is set to Webhook"))
	} else {
		switch {
		case (w.URL == nil) == (w.Service == nil):
			faults = append(faults, field.Required(client, "exactly one of url or service is required"))
		case w.URL != nil:
			faults = append(faults, validation.WebhookURL(client.Child("url"), *w.URL)...)
		default:
			// Name and namespace are judged for each other's, as in kube-apiserver.
			faults = append(faults, validation.WebhookService(client.Child("service"), w.Service.Namespace, w.Service.Name, w.Service.Path, w.Service.Port)...)
		}
		if len(w.CABundle) > 0 && !r.badBundle {
			faults = append(faults, validation.CABundle(client.Child("caBundle"), w.CABundle)...)
		}
	}
	return append(faults, r.reviews(c.ConversionReviewVersions, at.Child("conversionReviewVersions"))...)
}

func (r *rules) reviews(versions []string, at *field.Path) (faults field.ErrorList) {
	if len(versions) == 0 {
		return field.ErrorList{field.Required(at, "")}
	}
	spoken := false
	for i, v := range versions {
		if slices.Contains(versions[:i], v) {
			faults = append(faults, field.Invalid(at.Index(i), v, "duplicate version"))
			continue
		}
		faults = append(faults, validation.Invalid(at.Index(i), v, utilvalidation.IsDNS1035Label(v))...)
		spoken = spoken || slices.Contains(reviewVersions(), v)
	}
	if !spoken && r.spokenReview {
		faults = append(faults, field.Invalid(at, versions, "must include at least one of "+strings.Join(reviewVersions(), ", ")))
	}
	return faults
}

// speaksReview says whether a conversion names a version that is spoken, or none.
func speaksReview(c *apiextensions.CustomResourceConversion) bool {
	return c == nil || len(c.ConversionReviewVersions) == 0 ||
		slices.ContainsFunc(c.ConversionReviewVersions, func(v string) bool { return slices.Contains(reviewVersions(), v) })
}
