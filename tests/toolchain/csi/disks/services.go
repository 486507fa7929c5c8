package main

import (
	"context"
	"errors"
	"io/fs"
	"log"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const name = "disks.llmkube.local"

func logged(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	answer, err := next(ctx, request)
	log.Printf("%s %v: %v", info.FullMethod, request, err)
	return answer, err
}

// answered makes an error of the disks one that the sidecars and the kubelet understand: what is not there, or what may
// work later.
func answered[T any](answer *T, err error) (*T, error) {
	switch {
	case err == nil:
		return answer, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, status.Error(codes.NotFound, err.Error())
	default:
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
}

// registrar tells the kubelet about the driver.
type registrar struct {
	registration.UnimplementedRegistrationServer
	endpoint string
}

func (r registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	versions := []string{"1.0.0"}
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: name, Endpoint: r.endpoint, SupportedVersions: versions,
	}, nil
}

func (r registrar) NotifyRegistrationStatus(
	_ context.Context, result *registration.RegistrationStatus,
) (*registration.RegistrationStatusResponse, error) {
	if !result.PluginRegistered {
		log.Fatal(result.Error)
	}
	return &registration.RegistrationStatusResponse{}, nil
}

// identity says what the driver is.
type identity struct {
	csi.UnimplementedIdentityServer
}

func (identity) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: name, VendorVersion: "test"}, nil
}

func (identity) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

func (identity) GetPluginCapabilities(
	context.Context, *csi.GetPluginCapabilitiesRequest,
) (*csi.GetPluginCapabilitiesResponse, error) {
	controlled := &csi.PluginCapability{Type: &csi.PluginCapability_Service_{
		Service: &csi.PluginCapability_Service{Type: csi.PluginCapability_Service_CONTROLLER_SERVICE},
	}}
	grows := &csi.PluginCapability{Type: &csi.PluginCapability_VolumeExpansion_{
		VolumeExpansion: &csi.PluginCapability_VolumeExpansion{Type: csi.PluginCapability_VolumeExpansion_ONLINE},
	}}
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{controlled, grows}}, nil
}

// controller makes, attaches, enlarges and removes disks.
type controller struct {
	csi.UnimplementedControllerServer
	disks disks
}

func (controller) ControllerGetCapabilities(
	context.Context, *csi.ControllerGetCapabilitiesRequest,
) (*csi.ControllerGetCapabilitiesResponse, error) {
	answer := &csi.ControllerGetCapabilitiesResponse{}
	for _, kind := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_PUBLISH_UNPUBLISH_VOLUME,
		csi.ControllerServiceCapability_RPC_EXPAND_VOLUME,
	} {
		answer.Capabilities = append(answer.Capabilities, &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: kind}},
		})
	}
	return answer, nil
}

func (c controller) CreateVolume(_ context.Context, r *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	for _, wanted := range r.GetVolumeCapabilities() {
		if wanted.GetAccessMode().GetMode() != csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER {
			return nil, status.Error(codes.InvalidArgument, "a disk is for one node at a time")
		}
	}
	size, err := c.disks.create(r.GetName(), r.GetCapacityRange().GetRequiredBytes())
	return answered(&csi.CreateVolumeResponse{Volume: &csi.Volume{VolumeId: r.GetName(), CapacityBytes: size}}, err)
}

func (c controller) DeleteVolume(_ context.Context, r *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	return answered(&csi.DeleteVolumeResponse{}, c.disks.remove(r.GetVolumeId()))
}

func (c controller) ControllerPublishVolume(
	_ context.Context, r *csi.ControllerPublishVolumeRequest,
) (*csi.ControllerPublishVolumeResponse, error) {
	return answered(&csi.ControllerPublishVolumeResponse{}, c.disks.attach(r.GetVolumeId(), r.GetNodeId()))
}

func (c controller) ControllerUnpublishVolume(
	_ context.Context, r *csi.ControllerUnpublishVolumeRequest,
) (*csi.ControllerUnpublishVolumeResponse, error) {
	return answered(&csi.ControllerUnpublishVolumeResponse{}, c.disks.detach(r.GetVolumeId(), r.GetNodeId()))
}

func (c controller) ControllerExpandVolume(
	_ context.Context, r *csi.ControllerExpandVolumeRequest,
) (*csi.ControllerExpandVolumeResponse, error) {
	size, err := c.disks.enlarge(r.GetVolumeId(), r.GetCapacityRange().GetRequiredBytes())
	return answered(&csi.ControllerExpandVolumeResponse{CapacityBytes: size, NodeExpansionRequired: true}, err)
}

// agent mounts disks on one node.
type agent struct {
	csi.UnimplementedNodeServer
	disks disks
	node  string
}

func (a agent) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: a.node}, nil
}

func (agent) NodeGetCapabilities(
	context.Context, *csi.NodeGetCapabilitiesRequest,
) (*csi.NodeGetCapabilitiesResponse, error) {
	answer := &csi.NodeGetCapabilitiesResponse{}
	for _, kind := range []csi.NodeServiceCapability_RPC_Type{
		csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME,
		csi.NodeServiceCapability_RPC_EXPAND_VOLUME,
	} {
		answer.Capabilities = append(answer.Capabilities, &csi.NodeServiceCapability{
			Type: &csi.NodeServiceCapability_Rpc{Rpc: &csi.NodeServiceCapability_RPC{Type: kind}},
		})
	}
	return answer, nil
}

func (a agent) NodeStageVolume(_ context.Context, r *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	return answered(&csi.NodeStageVolumeResponse{}, a.disks.mount(r.GetVolumeId(), a.node, r.GetStagingTargetPath()))
}

func (agent) NodeUnstageVolume(
	_ context.Context, r *csi.NodeUnstageVolumeRequest,
) (*csi.NodeUnstageVolumeResponse, error) {
	return answered(&csi.NodeUnstageVolumeResponse{}, unmount(r.GetStagingTargetPath()))
}

func (agent) NodePublishVolume(
	_ context.Context, r *csi.NodePublishVolumeRequest,
) (*csi.NodePublishVolumeResponse, error) {
	err := bind(r.GetStagingTargetPath(), r.GetTargetPath(), r.GetReadonly())
	return answered(&csi.NodePublishVolumeResponse{}, err)
}

func (agent) NodeUnpublishVolume(
	_ context.Context, r *csi.NodeUnpublishVolumeRequest,
) (*csi.NodeUnpublishVolumeResponse, error) {
	return answered(&csi.NodeUnpublishVolumeResponse{}, unbind(r.GetTargetPath()))
}

func (agent) NodeExpandVolume(
	_ context.Context, r *csi.NodeExpandVolumeRequest,
) (*csi.NodeExpandVolumeResponse, error) {
	return answered(&csi.NodeExpandVolumeResponse{}, grow(r.GetStagingTargetPath()))
}
