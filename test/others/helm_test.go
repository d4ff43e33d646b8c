package others

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/release"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"
)

// packed makes the chart in testdata/site an archive, as users get charts, and loads it again.
func packed(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(filepath.Join("testdata", "site"))
	if err != nil {
		t.Fatal(err)
	}
	archive, err := chartutil.Save(c, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if c, err = loader.LoadFile(archive); err != nil {
		t.Fatal(err)
	}
	return c
}

// helmOf is helm's actions for the namespace of a test.
func helmOf(t *testing.T, kubeconfig, namespace string) *action.Configuration {
	t.Helper()
	flags := genericclioptions.NewConfigFlags(true)
	cache := t.TempDir()
	flags.KubeConfig, flags.Namespace, flags.CacheDir = &kubeconfig, &namespace, &cache
	cfg := &action.Configuration{}
	if err := cfg.Init(flags, namespace, "secret", t.Logf); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestHelmInstallsUpgradesRollsBackAndRemoves(t *testing.T) {
	env, kubeconfig := cluster(t, 3)
	c := clientOf(t, env)
	helm := helmOf(t, kubeconfig, "shop")
	site := packed(t)

	install := action.NewInstall(helm)
	install.ReleaseName, install.Namespace, install.CreateNamespace, install.Wait, install.Timeout = "site", "shop", true, true, patience
	r, err := install.RunWithContext(t.Context(), site, map[string]any{"page": "first"})
	if err != nil {
		t.Fatalf("install: %v", err)
	}
	if r.Info.Status != release.StatusDeployed || r.Version != 1 || !strings.Contains(r.Info.Notes, "site shows first") {
		t.Errorf("installed: %s, revision %d, notes %q", r.Info.Status, r.Version, r.Info.Notes)
	}
	shows(t, c, "first", 2)
	hooksRan(t, c)

	upgrade := action.NewUpgrade(helm)
	upgrade.Namespace, upgrade.Wait, upgrade.Timeout = "shop", true, patience
	if _, err = upgrade.RunWithContext(t.Context(), "site", site, map[string]any{"page": "second", "replicas": 4}); err != nil {
		t.Fatalf("upgrade: %v", err)
	}
	shows(t, c, "second", 4)

	bad := action.NewUpgrade(helm)
	bad.Namespace = "shop"
	if _, err = bad.RunWithContext(t.Context(), "site", site, map[string]any{"replicas": -1}); err == nil || !strings.Contains(err.Error(), "spec.replicas") {
		t.Errorf("an upgrade that the server refuses: %v", err)
	}

	rollback := action.NewRollback(helm)
	rollback.Version, rollback.Wait, rollback.Timeout = 1, true, patience
	if err := rollback.Run("site"); err != nil {
		t.Fatalf("roll back: %v", err)
	}
	shows(t, c, "first", 2)
	history, err := action.NewHistory(helm).Run("site")
	if err != nil || len(history) != 4 {
		t.Errorf("the history has %d revisions, %v; want 4: install, upgrade, the failure, roll back", len(history), err)
	}

	uninstall := action.NewUninstall(helm)
	uninstall.Wait, uninstall.Timeout, uninstall.DeletionPropagation = true, patience, "foreground"
	if _, err := uninstall.Run("site"); err != nil {
		t.Fatalf("uninstall: %v", err)
	}
	nothingLeft(t, c)
}

// shows says whether the chart's objects are as its values want them.
func shows(t *testing.T, c kubernetes.Interface, page string, replicas int32) {
	t.Helper()
	m, err := c.CoreV1().ConfigMaps("shop").Get(t.Context(), "site", metav1.GetOptions{})
	if err != nil || m.Data["page"] != page {
		t.Errorf("the page is %q, %v; want %q", m.Data["page"], err, page)
	}
	d, err := c.AppsV1().Deployments("shop").Get(t.Context(), "site", metav1.GetOptions{})
	if err != nil || d.Status.AvailableReplicas != replicas {
		t.Errorf("%d replicas are available, %v; want %d", d.Status.AvailableReplicas, err, replicas)
	}
	if _, err := c.CoreV1().Services("shop").Get(t.Context(), "site", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	shelf, err := c.Discovery().RESTClient().Get().AbsPath(shelves + "/site").DoRaw(t.Context())
	if err != nil || !strings.Contains(string(shelf), fmt.Sprintf(`"spec":{"page":%q}`, page)) {
		t.Errorf("the object of the chart's own kind is %s, %v; want the page %q", shelf, err, page)
	}
}

// shelves are objects of a kind that the chart brings along.
const shelves = "/apis/shop.sampan.test/v1/namespaces/shop/shelves"

// hooksRan says whether the hook before the installation was waited for and removed, and that after it is there.
func hooksRan(t *testing.T, c kubernetes.Interface) {
	t.Helper()
	if _, err := c.CoreV1().Pods("shop").Get(t.Context(), "site-before", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the hook before the installation is to be removed when it has ended: %v", err)
	}
	if _, err := c.CoreV1().ConfigMaps("shop").Get(t.Context(), "site-after", metav1.GetOptions{}); err != nil {
		t.Errorf("the hook after the installation: %v", err)
	}
}

func nothingLeft(t *testing.T, c kubernetes.Interface) {
	t.Helper()
	eventually(t, "nothing of the release is left", func(ctx context.Context) error {
		options := metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=site"}
		maps, err := c.CoreV1().ConfigMaps("shop").List(ctx, options)
		if err != nil {
			return err
		}
		pods, err := c.CoreV1().Pods("shop").List(ctx, options)
		if err != nil {
			return err
		}
		if _, err := c.Discovery().RESTClient().Get().AbsPath(shelves + "/site").DoRaw(ctx); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the object of the chart's own kind is to be gone: %v", err)
		}
		records, err := c.CoreV1().Secrets("shop").List(ctx, metav1.ListOptions{LabelSelector: "owner=helm"})
		if err == nil && len(maps.Items)+len(pods.Items)+len(records.Items) > 0 {
			err = fmt.Errorf("%d ConfigMaps, %d pods and %d records are", len(maps.Items), len(pods.Items), len(records.Items))
		}
		return err
	})
}
