// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// The rights of the operator. It has to hold what it gives to runners: the patch of
// mqttbridges/status. It has none on Secrets, and none to delete a claim, which may
// hold messages.
//
// +kubebuilder:rbac:groups=mqttbridge.io,resources=mqttbridges,verbs=get;list;watch
// +kubebuilder:rbac:groups=mqttbridge.io,resources=mqttbridges/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=configmaps;serviceaccounts,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=roles;rolebindings,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// concurrentReconciles bounds how many bridges are worked on at once. When a server
// that many bridges share is lost, all of them report within the same second, and
// each is to show it within one.
const concurrentReconciles = 8

// Reconciler brings about what MQTTBridges ask for.
type Reconciler struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// APIReader reads from the API server.
	APIReader client.Reader
	// Recorder sends events.
	Recorder events.EventRecorder
	// RunnerImage is the image of runners whose bridge names none.
	RunnerImage string
	// Now is the clock.
	Now func() time.Time

	addresses addressBook
}

// Reconcile makes one pass over one bridge, as the package comment tells.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	bridge := &v1alpha1.MQTTBridge{}
	if err := r.Client.Get(ctx, req.NamespacedName, bridge); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !bridge.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	wrote, err := r.bringAbout(ctx, bridge)
	var stall *stallError
	if err != nil && !errors.As(err, &stall) {
		// What the runner reports is told whatever becomes of the children.
		return ctrl.Result{}, errors.Join(err, r.tell(ctx, bridge, wrote, nil))
	}
	if tellErr := r.tell(ctx, bridge, wrote, stall); tellErr != nil {
		return ctrl.Result{}, tellErr
	}
	if stall != nil && stall.reason == v1alpha1.ReasonInvalidSpec {
		return ctrl.Result{}, nil // Only another spec helps, and brings a pass of its own.
	}
	return ctrl.Result{}, err
}

// bringAbout validates the spec and makes the children what it asks for. With an
// invalid spec they stay as they are: a bridge that runs goes on running.
func (r *Reconciler) bringAbout(ctx context.Context, b *v1alpha1.MQTTBridge) (wrote bool, err error) {
	if errs := validate(b); len(errs) > 0 {
		return false, &stallError{v1alpha1.ReasonInvalidSpec, errs.ToAggregate()}
	}
	return r.applyChildren(ctx, b)
}

// tell observes, writes the status where it has changed, sends the events that it
// records, tells pods of changed requests, and clears a report that no pod stands behind.
func (r *Reconciler) tell(ctx context.Context, b *v1alpha1.MQTTBridge, wrote bool, stall *stallError) error {
	o, err := r.observe(ctx, b)
	if err != nil {
		return err
	}
	o.wrote, o.stall = wrote, stall
	if stall == nil {
		if o.loop, err = r.loop(ctx, b); err != nil {
			return err
		}
	}
	now := r.Now()
	marker, due := announce(o, now)
	status := &ownStatus{Conditions: derive(o, now), ObservedGeneration: b.Generation, Announced: marker}
	if !status.holds(&b.Status) {
		if err := r.writeStatus(ctx, b, status); err != nil {
			return ignoreStale(ctx, err)
		}
		for _, e := range due {
			r.Recorder.Eventf(b, nil, e.eventType, e.reason, e.action, "%s", e.note)
		}
	}
	if err := r.nudge(ctx, o); err != nil {
		return ignoreStale(ctx, err)
	}
	if b.Status.Runner != nil && o.reportingPod() == nil {
		return ignoreStale(ctx, r.clearReport(ctx, b))
	}
	return nil
}

// observe reads what the conditions are derived from.
func (r *Reconciler) observe(ctx context.Context, b *v1alpha1.MQTTBridge) (*observation, error) {
	o := &observation{bridge: b}
	key := client.ObjectKey{Namespace: b.Namespace, Name: childName(b.Name)}
	deployment := &appsv1.Deployment{}
	err := r.Client.Get(ctx, key, deployment)
	if err == nil {
		o.deployment = deployment
	} else if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading the Deployment: %w", err)
	}
	claim := &corev1.PersistentVolumeClaim{}
	err = r.Client.Get(ctx, key, claim)
	if err == nil {
		o.claim = claim
	} else if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading the PersistentVolumeClaim: %w", err)
	}
	pods := &corev1.PodList{}
	if err := r.Client.List(ctx, pods, client.InNamespace(b.Namespace), client.MatchingLabels(selectorLabels(b.Name))); err != nil {
		return nil, fmt.Errorf("listing the pods: %w", err)
	}
	o.pods = pods.Items
	return o, nil
}

// ignoreStale passes over a write that was refused because the bridge has changed:
// the watch brings the change, and with it another pass.
func ignoreStale(ctx context.Context, err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		log.FromContext(ctx).V(1).Info("the bridge has changed meanwhile", "error", err.Error())
		return nil
	}
	return err
}

// SetupWithManager watches bridges, their children and their pods.
//
// Updates of a bridge are not filtered: the runner's reports are status changes that
// have to be derived from. The operator's own status writes come back, too, and find
// nothing to write.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	c := ctrl.NewControllerManagedBy(mgr).
		Named("mqttbridge").
		For(&v1alpha1.MQTTBridge{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(bridgeOfPod)).
		Watches(&v1alpha1.MQTTBridge{}, handler.EnqueueRequestsFromMapFunc(r.besideChanged), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrentReconciles})
	for _, kind := range childKinds {
		c = c.Owns(kind.object)
	}
	if err := c.Complete(r); err != nil {
		return fmt.Errorf("setting up the MQTTBridge controller: %w", err)
	}
	return nil
}

// bridgeOfPod is the bridge that a pod serves, by its labels.
func bridgeOfPod(_ context.Context, pod client.Object) []ctrl.Request {
	name := pod.GetLabels()[labelInstance]
	if name == "" {
		return nil
	}
	return []ctrl.Request{{NamespacedName: client.ObjectKey{Namespace: pod.GetNamespace(), Name: name}}}
}
