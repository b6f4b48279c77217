// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

const (
	systemNamespace = "mqttbridge-system"
	operatorUser    = "system:serviceaccount:mqttbridge-system:mqttbridge-operator"
)

// auditPolicy logs the requests of the operator, and no others.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  users: ["` + operatorUser + `"]
- level: None
`

// cluster is a running API server.
type cluster struct {
	env    *envtest.Environment
	admin  *rest.Config
	client client.Client
	audit  *auditLog
	// kubeconfig is the file with which the operator connects.
	kubeconfig string
	// metricsToken authenticates the command to the metrics of the operator.
	metricsToken string
}

// startCluster starts an API server that keeps its files in dir.
func startCluster(ctx context.Context, dir string) (*cluster, error) {
	policy := filepath.Join(dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	log := filepath.Join(dir, "audit.log")
	c := &cluster{
		env: &envtest.Environment{
			BinaryAssetsDirectory:    os.Getenv("KUBEBUILDER_ASSETS"),
			CRDDirectoryPaths:        []string{filepath.Join(apiserver.Root(), "config", "crd", "bases")},
			ErrorIfCRDPathMissing:    true,
			ControlPlaneStartTimeout: 2 * time.Minute,
			ControlPlaneStopTimeout:  30 * time.Second,
		},
		audit: &auditLog{file: log},
	}
	c.env.ControlPlane.GetAPIServer().Configure().
		Set("audit-policy-file", policy).
		Set("audit-log-path", log).
		Set("audit-log-maxsize", "100000") // MB, so that the log is never rotated
	c.env.ControlPlane.Etcd = &envtest.Etcd{}
	c.env.ControlPlane.Etcd.Configure().Set("quota-backend-bytes", "8589934592").
		Set("unsafe-no-fsync", "true") // the disk must not limit the measurement, and the data may be lost
	admin, err := c.env.Start()
	if err != nil {
		return nil, fmt.Errorf("starting the API server: %w", err)
	}
	admin.QPS = -1
	c.admin = admin
	if err := c.prepare(ctx, dir); err != nil {
		return nil, errors.Join(err, c.env.Stop())
	}
	return c, nil
}

// prepare installs the rights of the operator, and creates the users of the API server.
func (c *cluster) prepare(ctx context.Context, dir string) error {
	var err error
	if c.client, err = client.New(c.admin, client.Options{Scheme: apiserver.Scheme()}); err != nil {
		return err
	}
	if err := c.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: systemNamespace}}); err != nil {
		return err
	}
	for _, file := range []string{"role.yaml", "metrics_auth_role.yaml", "leader_election_role.yaml"} {
		if err := c.grant(ctx, file); err != nil {
			return err
		}
	}
	if c.kubeconfig, err = c.addUser(operatorUser, "system:serviceaccounts", filepath.Join(dir, "kubeconfig")); err != nil {
		return err
	}
	return c.addMetricsReader(ctx)
}

// addUser creates a user in a group, and writes the kubeconfig with which the user connects.
func (c *cluster) addUser(name, group, kubeconfig string) (string, error) {
	user, err := c.env.AddUser(envtest.User{Name: name, Groups: []string{group}}, nil)
	if err != nil {
		return "", err
	}
	config, err := user.KubeConfig()
	if err != nil {
		return "", err
	}
	return kubeconfig, os.WriteFile(kubeconfig, config, 0o600)
}

// grant grants the operator the rights of a file of config/rbac. A Role is granted as a
// ClusterRole.
func (c *cluster) grant(ctx context.Context, file string) error {
	raw, err := os.ReadFile(filepath.Join(apiserver.Root(), "config", "rbac", file))
	if err != nil {
		return err
	}
	role := &rbacv1.ClusterRole{}
	if err := yaml.Unmarshal(raw, role); err != nil {
		return err
	}
	role.TypeMeta, role.Namespace = metav1.TypeMeta{}, ""
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: operatorUser}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
	}
	return errors.Join(c.client.Create(ctx, role), c.client.Create(ctx, binding))
}

// addMetricsReader creates a ServiceAccount that may read the metrics, and its token.
func (c *cluster) addMetricsReader(ctx context.Context) error {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "metrics-reader"}}
	if err := c.client.Create(ctx, account); err != nil {
		return err
	}
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "metrics-reader"},
		Rules:      []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}},
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: account.Name}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
	}
	if err := errors.Join(c.client.Create(ctx, role), c.client.Create(ctx, binding)); err != nil {
		return err
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](24 * 3600)}}
	if err := c.client.SubResource("token").Create(ctx, account, request); err != nil {
		return fmt.Errorf("creating a token: %w", err)
	}
	c.metricsToken = request.Status.Token
	return nil
}
