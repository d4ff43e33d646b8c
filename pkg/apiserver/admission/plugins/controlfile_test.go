package plugins

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

const admissionConfiguration = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\n"

// written is the name of a new file that holds the text.
func written(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "admission.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPluginsAreToldWhatTheFileSays(t *testing.T) {
	other := written(t, "other: file")
	const unversioned = "podNodeSelectorPluginConfig:\n  n: a=b\n"
	for name, c := range map[string]struct{ file, plugin, said, fault string }{
		"in the file":             {admissionConfiguration + "plugins: [{name: A, path: /none, configuration: {a: 1}}]", "A", `{"a":1}`, ""},
		"in the alpha version":    {"apiVersion: apiserver.k8s.io/v1alpha1\nkind: AdmissionConfiguration\nplugins: [{name: A, configuration: {a: 1}}]", "A", `{"a":1}`, ""},
		"in another file":         {admissionConfiguration + "plugins: [{name: A, path: " + other + "}]", "A", "other: file", ""},
		"beside the file":         {admissionConfiguration + "plugins: [{name: A, path: admission.yaml}]", "A", admissionConfiguration + "plugins: [{name: A, path: admission.yaml}]", ""},
		"in a file that is gone":  {admissionConfiguration + "plugins: [{name: A, path: none}]", "A", "", "no such file"},
		"to another":              {admissionConfiguration + "plugins: [{name: B, path: none}]", "A", "", ""},
		"without a version":       {unversioned, "PodNodeSelector", unversioned, ""},
		"a field too much":        {admissionConfiguration + "plugin: []", "A", "", `unknown field "plugin"`},
		"a field twice":           {admissionConfiguration + "plugins: []\nplugins: []", "A", "", `key "plugins" already set`},
		"of no kind":              {"apiVersion: v1", "A", "", "Object 'Kind' is missing"},
		"of another kind":         {"apiVersion: v1\nkind: Pod", "A", "", `no kind "Pod" is registered for version "v1"`},
		"in a version of its own": {"apiVersion: apiserver.config.k8s.io/v2\nkind: AdmissionConfiguration", "A", "", "no kind"},
	} {
		control, err := readControl(written(t, c.file))
		var said []byte
		if err == nil {
			said, err = control.of(c.plugin)
		}
		if string(said) != c.said || (err != nil) != (c.fault != "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %q, %v", name, said, err)
		}
	}
	if _, err := readControl("/none"); err == nil {
		t.Error("a file that is not there is passed over")
	}
}

// TestPluginsRefuseWhatTheyDoNotUnderstand: a server whose rules are not those that somebody wrote must not start.
func TestPluginsRefuseWhatTheyDoNotUnderstand(t *testing.T) {
	for _, c := range []struct{ plugin, configuration, fault string }{
		{"PodSecurity", "{kind: PodSecurityConfiguration}", "Object 'apiVersion' is missing"},
		{"PodSecurity", "{kind: PodSecurityConfiguration, apiVersion: pod-security.admission.config.k8s.io/v1, defaults: {enforce: most}}", "must be one of"},
		{"PodNodeSelector", "{podNodeSelectorPluginConfig: [a]}", "cannot unmarshal array"},
		{"PodTolerationRestriction", "{kind: Configuration, apiVersion: v1}", `no kind "Configuration" is registered for version "v1"`},
		{"PodTolerationRestriction", "{kind: Configuration, apiVersion: podtolerationrestriction.admission.k8s.io/v1alpha1, default: [{key: a, effect: Never}], whitelist: [{}]}",
			`invalid config: [podtolerationrestriction.default[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"` +
				` podtolerationrestriction.whitelist[0].operator: Invalid value: "": operator must be Exists when`},
		{"EventRateLimit", "null", "limits: Invalid value: null: must not be empty"},
		{"EventRateLimit", "{kind: Configuration, apiVersion: eventratelimit.admission.k8s.io/v1alpha1, limits: [{type: All, cacheSize: -1}, {type: Server, burst: 1, qps: 1, cacheSize: -1}]}",
			`[limits[0].type: Unsupported value: "All": supported values: "Namespace", "Server", "SourceAndObject", "User", limits[0].burst: Invalid value: 0: must be positive, ` +
				"limits[0].qps: Invalid value: 0: must be positive, limits[0].cacheSize: Invalid value: -1: must not be negative]"},
		{"ResourceQuota", "{limitedResources: []}", "Object 'Kind' is missing"},
		{"ResourceQuota", "{kind: Configuration, apiVersion: apiserver.config.k8s.io/v1}", `no kind "Configuration" is registered for version "apiserver.config.k8s.io/v1"`},
		{"ResourceQuota", "{kind: ResourceQuotaConfiguration, apiVersion: apiserver.config.k8s.io/v1, limitedResources: [{resource: pods, matches: [a]}]}",
			`unknown field "limitedResources[0].matches"`},
		{"ResourceQuota", "{kind: Configuration, apiVersion: resourcequota.admission.k8s.io/v1beta1, limitedResources: [{resource: pods}, {apiGroup: apps}]}",
			"limitedResources[1].resource: Required value"},
		{"MutatingAdmissionWebhook", "{kind: WebhookAdmissionConfiguration, apiVersion: apiserver.config.k8s.io/v1, kubeConfigFile: /none}", "stat /none: no such file or directory"},
		{"ValidatingAdmissionWebhook", "{kind: WebhookAdmissionConfiguration, apiVersion: apiserver.config.k8s.io/v1, kubeConfigFile: a}",
			`kubeConfigFile: Invalid value: "a": must be an absolute file path`},
		{"ValidatingAdmissionWebhook", "{kind: WebhookAdmission, apiVersion: apiserver.config.k8s.io/v1alpha1}", "no kind"},
		{"MutatingAdmissionWebhook", "{kind: WebhookAdmissionConfiguration, apiVersion: apiserver.config.k8s.io/v1, staticManifestsDir: /}", "staticManifestsDir: Forbidden: "},
		{"MutatingAdmissionPolicy", "{kind: MutatingAdmissionPolicyConfiguration}", "Object 'apiVersion' is missing"},
		{"MutatingAdmissionPolicy", "{kind: ValidatingAdmissionPolicyConfiguration, apiVersion: apiserver.config.k8s.io/v1}", "no kind"},
		{"ValidatingAdmissionPolicy", "{kind: ValidatingAdmissionPolicyConfiguration, apiVersion: apiserver.config.k8s.io/v1, staticManifestsDir: /}",
			"staticManifestsDir: Forbidden: staticManifestsDir requires the ManifestBasedAdmissionControlConfig feature gate to be enabled"},
		{"ImagePolicyWebhook", "null", "no config specified"},
		{"ImagePolicyWebhook", "{imagePolicy: {kubeConfigFile: /none}}", "stat /none: no such file or directory"},
		{"ImagePolicyWebhook", "{imagePolicy: {}}", "no kubeconfig says how to reach the webhook"},
		{"ImagePolicyWebhook", "{imagePolicy: {allowTTL: 1801}}", "valid value is between 1s and 30m0s, got 30m1s"},
		{"ImagePolicyWebhook", "{imagePolicy: {denyTTL: -2}}", "valid value is between 1s and 30m0s, got -2s"},
		{"ImagePolicyWebhook", "{imagePolicy: {retryBackoff: 300001}}", "valid value is between 1ns and 5m0s, got 5m0.001s"},
	} {
		file := written(t, admissionConfiguration+"plugins: [{name: "+c.plugin+", configuration: "+c.configuration+"}]")
		_, err := New(t.Context(), Config{File: file, Access: resourcetest.New(), Enable: []string{c.plugin}})
		if want := fmt.Sprintf("couldn't init admission plugin %q: ", c.plugin); err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s with %s: %v", c.plugin, c.configuration, err)
		}
	}
}
