// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// operatorUser is the user name of the installed operator.
const operatorUser = "system:serviceaccount:mqttbridge-system:mqttbridge-operator"

var (
	server       *apiserver.Server
	operatorRest *rest.Config
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	os.Exit(apiserver.Run(m, func(ctx context.Context, s *apiserver.Server) error {
		if server = s; server == nil {
			return nil
		}
		return install(ctx)
	}))
}

// install grants the operator the rights of config/rbac.
func install(ctx context.Context) error {
	if err := server.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "mqttbridge-system"}}); err != nil {
		return err
	}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: operatorUser}}
	for _, file := range []string{"role.yaml", "metrics_auth_role.yaml"} {
		role := &rbacv1.ClusterRole{}
		if err := readYAML(file, role); err != nil {
			return err
		}
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: role.Name}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		}
		if err := errors.Join(server.Client.Create(ctx, role), server.Client.Create(ctx, binding)); err != nil {
			return err
		}
	}
	if err := permitLease(ctx, ""); err != nil {
		return err
	}
	var err error
	operatorRest, err = server.AddUser(operatorUser)
	return err
}

// permitLease grants the operator the rights of config/rbac on the Lease of a class.
func permitLease(ctx context.Context, class string) error {
	role := &rbacv1.Role{}
	if err := readYAML("leader_election_role.yaml", role); err != nil {
		return err
	}
	role.Namespace, role.Name = "mqttbridge-system", leaseName(class)
	for i := range role.Rules {
		if len(role.Rules[i].ResourceNames) > 0 {
			role.Rules[i].ResourceNames = []string{leaseName(class)}
		}
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: role.Namespace, Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: operatorUser}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
	}
	return errors.Join(server.Client.Create(ctx, role), server.Client.Create(ctx, binding))
}

func readYAML(file string, into any) error {
	raw, err := os.ReadFile(filepath.Join(apiserver.Root(), "config", "rbac", file))
	if err != nil {
		return err
	}
	return yaml.UnmarshalStrict(raw, into)
}

func TestOperator_InstalledRights_RunsAndReleasesTheLeadership(t *testing.T) {
	apiserver.Need(t, server)
	mgr, err := newManager(t.Context(), operatorRest, &settings{
		runnerImage: "registry.example/runner:v1", watchNamespaces: []string{"default", "mqttbridge-system"},
		leaderElect: true, leaderElectionNamespace: "mqttbridge-system",
		metricsAddress: "127.0.0.1:0", probeAddress: "0",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()

	b := newBridge(metav1.NamespaceDefault, "plant", "")
	if err := server.Client.Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	d := apiserver.Await(t, server.Client, &appsv1.DeploymentList{}, client.ObjectKey{Namespace: "default", Name: "plant-bridge"},
		"the runner's Deployment", func(d *appsv1.Deployment) bool { return d != nil })
	if got := d.Spec.Template.Spec.Containers[0].Image; got != "registry.example/runner:v1" {
		t.Errorf("the runner's image is %s; want the value of --runner-image", got)
	}

	lease := client.ObjectKey{Namespace: "mqttbridge-system", Name: manifest.OperatorLease}
	apiserver.Await(t, server.Client, &coordinationv1.LeaseList{}, lease, "a leader", func(l *coordinationv1.Lease) bool {
		return l != nil && l.Spec.HolderIdentity != nil && *l.Spec.HolderIdentity != ""
	})
	cancel()
	if err := <-stopped; err != nil {
		t.Errorf("the operator stopped with %v", err)
	}
	apiserver.Await(t, server.Client, &coordinationv1.LeaseList{}, lease, "no leader", func(l *coordinationv1.Lease) bool {
		return l != nil && (l.Spec.HolderIdentity == nil || *l.Spec.HolderIdentity == "")
	})
}

func TestOperator_WrongUpdateWindows_DoesNotStart(t *testing.T) {
	for _, s := range []*settings{{updateWindows: "0 2 * * 6"}, {updateWindows: "0 2 * * 6 4h", updateTimeZone: "Europe/Nowhere"}} {
		if _, err := newManager(t.Context(), &rest.Config{}, s); err == nil || !strings.Contains(err.Error(), "--update-") {
			t.Errorf("%q in the time zone %q: %v; want an error that names the flag", s.updateWindows, s.updateTimeZone, err)
		}
	}
}

func TestPullSecrets_WrongList_IsRefusedWithTheName(t *testing.T) {
	for value, want := range map[string]string{"edge,shared": "", "edge,Shared": `"Shared" is not the name of a Secret`, "edge,shared,edge": `"edge" is in the list twice`} {
		if err := checkPullSecrets(list(value)); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", value, err, want)
		}
	}
}

func TestList_CommaSeparated_IsSplit(t *testing.T) {
	if got := list("a, b,,c"); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("%q", got)
	}
	if got := list(""); got == nil || len(got) != 0 {
		t.Errorf("an empty list gives %q; want an empty list that is not nil, which permits nothing", got)
	}
}
