// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const (
	// OperatorNamespace is the namespace of the operator.
	OperatorNamespace = "mqttbridge-system"
	// OperatorReplicas is the number of replicas that the chart and the manifests set.
	OperatorReplicas = 2

	releaseName    = "mqttbridge-operator"
	customResource = "customresourcedefinition/mqttbridges.mqttbridge.io"
	rollout        = "--timeout=180s"
)

// Release is an installation of the operator by Helm.
type Release struct {
	cluster *Cluster
	helm    string // the program
}

// NewRelease returns a release that is not installed. It returns an error if the cluster has an
// installation of someone else, because Uninstall would remove it with all its bridges.
func (c *Cluster) NewRelease(ctx context.Context) (*Release, error) {
	if err := c.checkUnused(ctx); err != nil {
		return nil, err
	}
	helm, err := c.build(ctx, "helm", "hack/tools/helm", "helm.sh/helm/v3/cmd/helm")
	return &Release{cluster: c, helm: helm}, err
}

// checkUnused returns an error if the namespace of the operator exists. On a cluster of the user, it
// also returns an error if the CRD exists: another operator, in any namespace, or bridges may depend on it.
func (c *Cluster) checkUnused(ctx context.Context) error {
	_, err := c.Client.CoreV1().Namespaces().Get(ctx, OperatorNamespace, metav1.GetOptions{})
	if err == nil {
		return fmt.Errorf("namespace %s exists: the operator is installed in it, or remains from an earlier run; remove it first: helm uninstall -n %s %s, then kubectl delete namespace %s and %s",
			OperatorNamespace, OperatorNamespace, releaseName, OperatorNamespace, customResource)
	}
	if !apierrors.IsNotFound(err) || c.Local {
		return client.IgnoreNotFound(err)
	}
	groups, err := c.Client.Discovery().ServerGroups()
	if err != nil {
		return fmt.Errorf("listing the API groups of the cluster: %w", err)
	}
	for i := range groups.Groups {
		if groups.Groups[i].Name == v1alpha1.GroupVersion.Group {
			return fmt.Errorf("the cluster has the %s: an operator may be installed in another namespace, and the CRD and all bridges would be removed at the end; use another cluster, or, if `kubectl get mqttbridges -A` shows no bridge, run kubectl delete %s first",
				customResource, customResource)
		}
	}
	return nil
}

// Install installs the chart with the given image and waits until the operator is ready. The
// namespace enforces the restricted Pod Security Standard.
func (r *Release) Install(ctx context.Context, image string) error {
	if _, err := r.cluster.Kubectl(ctx, "create", "namespace", OperatorNamespace); err != nil {
		return err
	}
	if _, err := r.cluster.Kubectl(ctx, "label", "namespace", OperatorNamespace, "pod-security.kubernetes.io/enforce=restricted"); err != nil {
		return err
	}
	repository, tag, err := splitImage(image)
	if err != nil {
		return err
	}
	err = r.runHelm(ctx, "install", releaseName, "charts/mqttbridge-operator", "--wait", rollout,
		"--set", "image.repository="+repository, "--set", "image.tag="+tag)
	if err != nil {
		return errors.Join(err, r.cluster.explainPods(ctx, OperatorNamespace, r.Selector()))
	}
	return nil
}

// Test runs the test of the chart, and returns its log.
func (r *Release) Test(ctx context.Context) (string, error) {
	if err := r.runHelm(ctx, "test", releaseName, rollout); err != nil {
		return "", err
	}
	return r.cluster.Kubectl(ctx, "logs", "-n", OperatorNamespace, releaseName+"-test")
}

// SetRunnerImage changes the default image of the runners and waits until the operator is ready.
// An empty image is the image of the operator.
func (r *Release) SetRunnerImage(ctx context.Context, image string) error {
	return r.runHelm(ctx, "upgrade", releaseName, "charts/mqttbridge-operator", "--wait", rollout, "--reuse-values", "--set", "runner.image="+image)
}

// Uninstall removes the release, its namespace and the CRD, which Helm keeps, and thereby all
// bridges.
func (r *Release) Uninstall(ctx context.Context) error {
	_, err := r.cluster.Client.CoreV1().Namespaces().Get(ctx, OperatorNamespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil // nothing was installed
	}
	if err != nil {
		return err
	}
	err = r.runHelm(ctx, "uninstall", releaseName, "--ignore-not-found", "--wait")
	return errors.Join(err, r.cluster.remove(ctx, customResource), r.cluster.remove(ctx, "namespace/"+OperatorNamespace))
}

// Scale changes the number of replicas and waits until the change is complete.
func (r *Release) Scale(ctx context.Context, replicas int) error {
	deployment := "deployment/" + releaseName
	if _, err := r.cluster.Kubectl(ctx, "scale", "-n", OperatorNamespace, deployment, fmt.Sprintf("--replicas=%d", replicas)); err != nil {
		return err
	}
	if replicas == 0 {
		_, err := r.cluster.Kubectl(ctx, "wait", "-n", OperatorNamespace, "pods", "-l", r.Selector(), "--for=delete", rollout)
		return err
	}
	_, err := r.cluster.Kubectl(ctx, "rollout", "status", "-n", OperatorNamespace, deployment, rollout)
	return err
}

// Selector returns the label selector of the operator's pods.
func (r *Release) Selector() string { return "app.kubernetes.io/instance=" + releaseName }

// MetricsReader returns the name of the ClusterRole that permits reading the operator's metrics.
func (r *Release) MetricsReader() string { return releaseName + "-metrics-reader" }

func (r *Release) runHelm(ctx context.Context, args ...string) error {
	c := r.cluster
	args = append([]string{"--namespace", OperatorNamespace}, args...)
	if c.context != "" {
		args = append(args, "--kube-context", c.context)
	}
	return c.run(ctx, io.Discard, r.helm, args...)
}

// Kustomize installs the operator from config/default with the given image and waits until it is
// ready. The returned function removes it.
func (c *Cluster) Kustomize(ctx context.Context, image string) (remove func(context.Context) error, err error) {
	var manifests bytes.Buffer
	if err := c.run(ctx, &manifests, "go", "tool", "-modfile=hack/tools/kustomize/go.mod", "kustomize", "build", "config/default"); err != nil {
		return nil, err
	}
	const published = "ghcr.io/mqttbridge/mqttbridge-operator:latest"
	text := strings.ReplaceAll(manifests.String(), published, image)
	if text == manifests.String() {
		return nil, fmt.Errorf("config/default does not name the image %s", published)
	}
	remove = func(ctx context.Context) error {
		_, err := c.KubectlWithInput(ctx, text, "delete", "--ignore-not-found", "--wait", "-f", "-")
		return err
	}
	if _, err := c.KubectlWithInput(ctx, text, "apply", "--server-side", "-f", "-"); err != nil {
		return nil, errors.Join(err, remove(ctx))
	}
	if _, err := c.Kubectl(ctx, "rollout", "status", "-n", OperatorNamespace, "deployment", rollout); err != nil {
		return nil, errors.Join(err, remove(ctx))
	}
	return remove, nil
}

func (c *Cluster) remove(ctx context.Context, object string) error {
	_, err := c.Kubectl(ctx, "delete", object, "--ignore-not-found", "--wait")
	return err
}
