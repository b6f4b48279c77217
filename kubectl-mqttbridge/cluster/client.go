// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster reads and changes bridges in a cluster, and reads the answers of their runners.
// Each error names the missing right, or the object that does not exist.
package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const (
	resource = "mqttbridges"
	// pageSize is the number of objects of one answer to a list.
	pageSize = 500
	// The limits of the client. A fleet view asks many runners at once, and the API server has
	// limits of its own.
	requestsPerSecond, burst = 100, 200
)

// fieldManager is the field manager of the changes.
const fieldManager = "kubectl-mqttbridge"

// Client reads and changes the bridges of a cluster.
type Client struct {
	Kube kubernetes.Interface
	// Config is the configuration of the connection to the API server.
	Config *rest.Config

	bridges    rest.Interface
	parameters runtime.ParameterCodec
}

// New returns a client.
func New(config *rest.Config) (*Client, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = requestsPerSecond, burst
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	metav1.AddToGroupVersion(scheme, metav1.Unversioned)
	forBridges := rest.CopyConfig(config)
	forBridges.APIPath, forBridges.GroupVersion = "/apis", &v1alpha1.GroupVersion
	forBridges.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	bridges, err := rest.RESTClientFor(forBridges)
	if err != nil {
		return nil, err
	}
	return &Client{Kube: kube, Config: config, bridges: bridges, parameters: runtime.NewParameterCodec(scheme)}, nil
}

// Selection selects bridges.
type Selection struct {
	// Namespace is empty for all namespaces.
	Namespace string
	// Names are empty for all bridges.
	Names []string
	// Labels is a selector. It is empty for all bridges.
	Labels string
	// Cached permits an answer from the cache of the API server, which may be older than the latest
	// write.
	Cached bool
}

// List returns the selected bridges. If a name does not exist, it returns an error.
func (c *Client) List(ctx context.Context, s Selection) ([]v1alpha1.MQTTBridge, error) {
	if len(s.Names) > 0 {
		out := make([]v1alpha1.MQTTBridge, 0, len(s.Names))
		for _, name := range s.Names {
			b, err := c.Get(ctx, s.Namespace, name)
			if err != nil {
				return nil, err
			}
			out = append(out, *b)
		}
		return out, nil
	}
	options := metav1.ListOptions{LabelSelector: s.Labels, Limit: pageSize}
	if s.Cached {
		options = metav1.ListOptions{LabelSelector: s.Labels, ResourceVersion: "0"}
	}
	var out []v1alpha1.MQTTBridge
	for {
		var page v1alpha1.MQTTBridgeList
		err := c.bridges.Get().NamespaceIfScoped(s.Namespace, s.Namespace != "").Resource(resource).
			VersionedParams(&options, c.parameters).Do(ctx).Into(&page)
		if apierrors.IsNotFound(err) {
			return nil, noAPI(err)
		}
		if err != nil {
			return nil, Explain(err, "list", resource, s.Namespace)
		}
		out = append(out, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			return out, nil
		}
	}
}

// Get returns a bridge.
func (c *Client) Get(ctx context.Context, namespace, name string) (*v1alpha1.MQTTBridge, error) {
	var b v1alpha1.MQTTBridge
	err := c.bridges.Get().Namespace(namespace).Resource(resource).Name(name).Do(ctx).Into(&b)
	if apierrors.IsNotFound(err) {
		return nil, noBridge(err, namespace, name)
	}
	if err != nil {
		return nil, Explain(err, "get", resource, namespace)
	}
	return &b, nil
}

// Patch changes fields of a bridge, and returns the changed bridge. The value null removes a field.
func (c *Client) Patch(ctx context.Context, namespace, name string, change any) (*v1alpha1.MQTTBridge, error) {
	data, err := json.Marshal(change)
	if err != nil {
		return nil, err
	}
	var b v1alpha1.MQTTBridge
	err = c.bridges.Patch(types.MergePatchType).Namespace(namespace).Resource(resource).Name(name).
		VersionedParams(&metav1.PatchOptions{FieldManager: fieldManager}, c.parameters).Body(data).Do(ctx).Into(&b)
	if apierrors.IsNotFound(err) {
		return nil, noBridge(err, namespace, name)
	}
	if err != nil {
		return nil, Explain(err, "patch", resource, namespace)
	}
	return &b, nil
}

// noBridge explains that a bridge was not found. If the API server does not know bridges at all, its
// answer has no status.
func noBridge(err error, namespace, name string) error {
	if apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) {
		return noAPI(err)
	}
	return fmt.Errorf("the namespace %s has no bridge %s; `kubectl mqttbridge status -A` lists all bridges: %w", namespace, name, err)
}

func noAPI(err error) error {
	return fmt.Errorf("the cluster does not serve %s, because the CRD mqttbridges.mqttbridge.io is not installed; install the operator. If an operator of another version is installed, use the plugin of that version: %w", v1alpha1.GroupVersion, err)
}

// MissingRight is the error of a request that the user has no right to make.
type MissingRight struct {
	Verb, Resource string
	// Namespace is empty if the right is needed in all namespaces.
	Namespace string
	cause     error
}

// Error implements error.
func (m *MissingRight) Error() string {
	where := "in all namespaces"
	if m.Namespace != "" {
		where = "in the namespace " + m.Namespace
	}
	return fmt.Sprintf("the right to %s %s %s is missing", m.Verb, m.Resource, where)
}

// Unwrap returns the answer of the API server.
func (m *MissingRight) Unwrap() error { return m.cause }

// Explain names the missing right if the API server has refused a request.
func Explain(err error, verb, of, namespace string) error {
	if apierrors.IsForbidden(err) {
		return &MissingRight{verb, of, namespace, err}
	}
	return err
}
