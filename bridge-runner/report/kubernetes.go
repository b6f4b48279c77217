// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const (
	// FieldManager owns what the runner reports.
	FieldManager = "bridge-runner"
	// reportInterval is the least time between two reports. Changes within it are
	// reported together.
	reportInterval = time.Second
	// reportTimeout bounds a request.
	reportTimeout = 10 * time.Second
	// retryMax is the longest pause between attempts at an API server that does not
	// answer, or refuses.
	retryMax = 30 * time.Second
)

// Kubernetes reports the state of a runner to the status of its MQTTBridge by
// server-side apply.
type Kubernetes struct {
	client *http.Client
	url    string
	name   string
	ns     string
	log    *slog.Logger
}

// NewKubernetes returns a reporter for a bridge, in the cluster that the process
// runs in.
func NewKubernetes(bridge *v1alpha1.MQTTBridge, log *slog.Logger) (*Kubernetes, error) {
	cfg, err := rest.InClusterConfig()
	if err != nil {
		return nil, fmt.Errorf("--kubernetes works in a pod of a cluster only: %w", err)
	}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	path, err := url.JoinPath(cfg.Host, "apis", v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version,
		"namespaces", bridge.Namespace, "mqttbridges", bridge.Name, "status")
	if err != nil {
		return nil, fmt.Errorf("the API server's address: %w", err)
	}
	return &Kubernetes{
		client: client,
		url:    path + "?fieldManager=" + FieldManager + "&force=true",
		name:   bridge.Name,
		ns:     bridge.Namespace,
		log:    log,
	}, nil
}

// Run reports each change until the context ends.
func (k *Kubernetes) Run(ctx context.Context, st *State) {
	pause := reportInterval
	for {
		select {
		case <-st.Changed():
		case <-ctx.Done():
			return
		}
		if err := k.report(ctx, st.Status()); err != nil {
			if ctx.Err() != nil {
				return
			}
			k.log.Warn("the bridge's status could not be reported; it goes on all the same", "error", err)
			st.notify() // it is still to be reported
			pause = min(2*pause, retryMax)
		} else {
			pause = reportInterval
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// report applies the status.
func (k *Kubernetes) report(ctx context.Context, status v1alpha1.MQTTBridgeStatus) error {
	body, err := json.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       "MQTTBridge",
		"metadata":   map[string]string{"name": k.name, "namespace": k.ns},
		"status":     status,
	})
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, k.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/apply-patch+yaml")
	req.Header.Set("Accept", "application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return fmt.Errorf("reporting the status: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return fmt.Errorf("the API server answers %s: %s", resp.Status, text)
	}
	_, err = io.Copy(io.Discard, resp.Body) // so that the connection is used again
	return err
}
