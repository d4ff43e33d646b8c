package source

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// maxManifest is the longest list of pods that a URL may answer with.
const maxManifest = 10 << 20

// followURL tells the static pods of the URL, now and as often as configured. A failure leaves the pods as
// they are.
func (s *Source) followURL(ctx context.Context) {
	client := &http.Client{Timeout: 10 * time.Second}
	ticker := s.config.Clock.NewTicker(s.config.URLCheck)
	defer ticker.Stop()
	failing := false
	for {
		pods, err := s.fetch(ctx, client)
		if err == nil {
			s.setStatic(ctx, urlSource, pods)
		} else if ctx.Err() == nil && !failing {
			s.config.Log.Error(err, "Static pods of the URL stay as they are")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
	}
}

func (s *Source) fetch(ctx context.Context, client *http.Client) ([]*corev1.Pod, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.config.StaticURL, nil)
	if err != nil {
		return nil, fmt.Errorf("--manifest-url is not usable: %w", err)
	}
	for name, values := range s.config.StaticURLHeader {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("reading static pods: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reading static pods of %s: the server answers %s", s.config.StaticURL, response.Status)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxManifest))
	if err != nil {
		return nil, fmt.Errorf("reading static pods of %s: %w", s.config.StaticURL, err)
	}
	return s.decodeList(data)
}

// decodeList reads one pod or a list of pods.
func (s *Source) decodeList(data []byte) ([]*corev1.Pod, error) {
	asJSON, err := yaml.YAMLToJSON(bytes.TrimSpace(data))
	if err != nil {
		return nil, fmt.Errorf("%s answers neither YAML nor JSON: %w", s.config.StaticURL, err)
	}
	var list struct {
		Kind  string            `json:"kind"`
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(asJSON, &list); err != nil {
		return nil, fmt.Errorf("%s does not answer pods: %w", s.config.StaticURL, err)
	}
	texts := []json.RawMessage{asJSON}
	if list.Kind == "PodList" || list.Kind == "List" {
		texts = list.Items
	}
	var pods []*corev1.Pod
	for _, text := range texts {
		if list.Kind != "Pod" {
			text = typed(text)
		}
		pod, err := s.decode(text, urlSource, s.config.StaticURL)
		if err != nil {
			return nil, err
		}
		pods = append(pods, pod)
	}
	return pods, nil
}

// typed gives an item of a list its kind, which lists may leave out.
func typed(item json.RawMessage) json.RawMessage {
	fields := map[string]json.RawMessage{}
	if json.Unmarshal(item, &fields) != nil {
		return item
	}
	if _, ok := fields["kind"]; !ok {
		fields["kind"], fields["apiVersion"] = json.RawMessage(`"Pod"`), json.RawMessage(`"v1"`)
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return item
	}
	return data
}
