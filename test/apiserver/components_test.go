package apiserver

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
)

// component speaks to the server as Kubernetes' own programs do: in protobuf alone.
func (s *server) component(t *testing.T) (kubernetes.Interface, metadata.Interface) {
	t.Helper()
	cfg := s.config(mediaProtobuf)
	cfg.AcceptContentTypes, cfg.QPS = mediaProtobuf+",application/json", -1
	typed, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	partial, err := metadata.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return typed, partial
}

// TestEveryKindIsFollowedInProtobuf has informers follow all kinds that client-go knows, whole as the controllers do
// and by their metadata as the garbage collector does.
func TestEveryKindIsFollowedInProtobuf(t *testing.T) {
	s := start(t, t.TempDir())
	typed, partial := s.component(t)
	_, lists, err := typed.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	whole, meta := informers.NewSharedInformerFactory(typed, 0), metadatainformer.NewSharedInformerFactory(partial, 0)
	followed := map[string][2]cache.SharedIndexInformer{}
	var synced []cache.InformerSynced
	for _, l := range lists {
		version, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range l.APIResources {
			if !slices.Contains(r.Verbs, "watch") {
				continue
			}
			kind := version.WithResource(r.Name)
			of, err := whole.ForResource(kind)
			if err != nil {
				continue // of another library
			}
			pair := [2]cache.SharedIndexInformer{of.Informer(), meta.ForResource(kind).Informer()}
			path := "/apis/" + l.GroupVersion + "/" + r.Name
			if version.Group == "" {
				path = "/api/v1/" + r.Name
			}
			followed[path], synced = pair, append(synced, pair[0].HasSynced, pair[1].HasSynced)
		}
	}
	whole.Start(ctx.Done())
	meta.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		t.Error("not all informers are in step")
	}
	admin := s.as(adminToken)
	for path, pair := range followed {
		items, _ := admin.must(t, http.StatusOK, "GET", path, nil)["items"].([]any)
		if w, m := len(pair[0].GetStore().List()), len(pair[1].GetStore().List()); !pair[0].HasSynced() || !pair[1].HasSynced() || w != len(items) || m != w {
			if path != "/api/v1/events" && path != "/apis/events.k8s.io/v1/events" { // which may come meanwhile
				t.Errorf("%s: %d objects; informers know %d, and the metadata of %d", path, len(items), w, m)
			}
		}
	}
	if len(followed) < 55 {
		t.Errorf("only %d kinds are followed", len(followed))
	}
}

// TestComponentsFollowWhatTheySelect uses the selectors by which kube-scheduler, kube-proxy, the kubelet and what
// delegates authentication follow objects.
func TestComponentsFollowWhatTheySelect(t *testing.T) {
	s := start(t, t.TempDir())
	typed, _ := s.component(t)
	admin := s.as(adminToken)
	addAccount(t, admin)
	addNode(t, admin, "n1", "InternalIP", "192.0.2.1", 10250)
	addNode(t, admin, "n2", "InternalIP", "192.0.2.2", 10250)
	for name, node := range map[string]string{"running": "n1", "ended": "n1", "elsewhere": "n2"} {
		addPod(t, admin, name, node, "10.0.0.1")
	}
	admin.send(t, "PATCH", "/api/v1/namespaces/default/pods/ended/status", mediaMerge, []byte(`{"status":{"phase":"Succeeded"}}`)).want(t, "ending a pod", http.StatusOK, "")
	for name, labels := range map[string]string{"plain": "{}", "headless": `{"service.kubernetes.io/headless":""}`, "other": `{"service.kubernetes.io/service-proxy-name":"x"}`} {
		admin.send(t, "POST", "/api/v1/namespaces/default/services", mediaJSON, []byte(`{"metadata":{"name":"`+name+`","labels":`+labels+`},"spec":{"ports":[{"port":80}]}}`)).want(t, name, http.StatusCreated, "")
	}
	// A server without authorities of clients has nothing to publish: what delegates waits for it all the same.
	published := object("v1", "ConfigMap", "extension-apiserver-authentication")
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/kube-system/configmaps", published)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for _, c := range []struct {
		who, namespace, labels, fields string
		of                             func(informers.SharedInformerFactory) cache.SharedIndexInformer
		want                           []string
	}{
		{"the scheduler", "", "", "status.phase!=Succeeded,status.phase!=Failed", func(f informers.SharedInformerFactory) cache.SharedIndexInformer {
			return f.Core().V1().Pods().Informer()
		}, []string{"elsewhere", "running"}},
		{"the kubelet, of pods", "", "", "spec.nodeName=n1", func(f informers.SharedInformerFactory) cache.SharedIndexInformer {
			return f.Core().V1().Pods().Informer()
		}, []string{"ended", "running"}},
		{"the kubelet, of itself", "", "", "metadata.name=n1", func(f informers.SharedInformerFactory) cache.SharedIndexInformer {
			return f.Core().V1().Nodes().Informer()
		}, []string{"n1"}},
		{"the proxy", "", "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name", "", func(f informers.SharedInformerFactory) cache.SharedIndexInformer {
			return f.Core().V1().Services().Informer()
		}, []string{"kubernetes", "plain"}},
		{"who delegates", "kube-system", "", "metadata.name=extension-apiserver-authentication", func(f informers.SharedInformerFactory) cache.SharedIndexInformer {
			return f.Core().V1().ConfigMaps().Informer()
		}, []string{"extension-apiserver-authentication"}},
	} {
		f := informers.NewSharedInformerFactoryWithOptions(typed, 0, informers.WithNamespace(c.namespace), informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.LabelSelector, o.FieldSelector = c.labels, c.fields
		}))
		i := c.of(f)
		f.Start(ctx.Done())
		if !cache.WaitForCacheSync(ctx.Done(), i.HasSynced) {
			t.Fatalf("%s: the informer is not in step", c.who)
		}
		var got []string
		for _, o := range i.GetStore().List() {
			got = append(got, o.(metav1.Object).GetName())
		}
		if slices.Sort(got); !slices.Equal(got, c.want) {
			t.Errorf("%s sees %v, want %v", c.who, got, c.want)
		}
	}
}

// TestComponentsWriteInProtobuf makes the writes by which a pod comes to run.
func TestComponentsWriteInProtobuf(t *testing.T) {
	s := start(t, t.TempDir())
	c, _ := s.component(t)
	addAccount(t, s.as(adminToken))
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	pods, now := c.CoreV1().Pods("default"), metav1.NewMicroTime(time.Now())
	for what, write := range map[string]func() error{
		"a review of an access": func() error {
			r, err := c.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "x", Groups: []string{"system:masters"}, ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Resource: "nodes", Subresource: "stats"}}}, metav1.CreateOptions{})
			if err == nil && !r.Status.Allowed {
				t.Error("a master is not allowed")
			}
			return err
		},
		"a review of a token": func() error {
			token, err := c.CoreV1().ServiceAccounts("default").CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
			if err != nil {
				return err
			}
			r, err := c.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token.Status.Token}}, metav1.CreateOptions{})
			if err == nil && r.Status.User.Username != "system:serviceaccount:default:default" {
				t.Errorf("the token is of %+v", r.Status)
			}
			return err
		},
		"a lease that is renewed": func() error {
			l, err := c.CoordinationV1().Leases("kube-node-lease").Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, metav1.CreateOptions{})
			if err == nil {
				l.Spec.RenewTime = &now
				l, err = c.CoordinationV1().Leases("kube-node-lease").Update(ctx, l, metav1.UpdateOptions{})
			}
			if err == nil && !l.Spec.RenewTime.Truncate(time.Microsecond).Equal(now.Truncate(time.Microsecond)) {
				t.Errorf("renewed at %v, want %v", l.Spec.RenewTime, now)
			}
			return err
		},
		"a node's status": func() error {
			_, err := c.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, metav1.CreateOptions{})
			if err == nil {
				_, err = c.CoreV1().Nodes().PatchStatus(ctx, "n1", []byte(`{"status":{"$setElementOrder/conditions":[{"type":"Ready"}],"conditions":[{"type":"Ready","status":"True"}]}}`))
			}
			return err
		},
		"a pod that is bound, runs and is deleted": func() error {
			_, err := pods.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}, metav1.CreateOptions{})
			if err == nil {
				err = pods.Bind(ctx, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"}, Target: corev1.ObjectReference{Kind: "Node", Name: "n1"}}, metav1.CreateOptions{})
			}
			if err == nil {
				_, err = pods.Patch(ctx, "p", types.StrategicMergePatchType, []byte(`{"status":{"phase":"Running","podIPs":[{"ip":"10.0.0.1"}]}}`), metav1.PatchOptions{}, "status")
			}
			if err == nil {
				err = pods.Delete(ctx, "p", *metav1.NewDeleteOptions(0))
			}
			return err
		},
		"an event": func() error {
			_, err := c.EventsV1().Events("default").Create(ctx, &eventsv1.Event{ObjectMeta: metav1.ObjectMeta{Name: "p.1"}, EventTime: now, ReportingController: "default-scheduler",
				ReportingInstance: "s", Action: "Binding", Reason: "Scheduled", Type: "Normal", Regarding: corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "p"}}, metav1.CreateOptions{})
			return err
		},
	} {
		if err := write(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
