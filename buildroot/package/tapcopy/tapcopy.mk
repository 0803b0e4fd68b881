################################################################################
#
# tapcopy
#
################################################################################

TAPCOPY_VERSION = 0.1.0
TAPCOPY_SITE = $(BR2_EXTERNAL_TAPCOPY_PATH)/..
TAPCOPY_SITE_METHOD = local
TAPCOPY_LICENSE = MIT
TAPCOPY_LICENSE_FILES = LICENSE
TAPCOPY_DEPENDENCIES = libpcap

# What a build outside of Buildroot leaves in the tree is not part of it.
TAPCOPY_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = \
	--exclude dist --exclude target --exclude node_modules

TAPCOPY_CARGO_ENV = \
	LIBPCAP_LIBDIR=$(STAGING_DIR)/usr/lib \
	LIBPCAP_VER=$(LIBPCAP_VERSION) \
	CARGO_TARGET_$(call UPPERCASE,$(RUSTC_TARGET_NAME))_RUSTFLAGS="-C target-feature=+crt-static"
TAPCOPY_CARGO_BUILD_OPTS = --package tapcopy-daemon

# The program is the whole of the system: it is /init of the initramfs that
# the post-image step packs, and takes the place of the dynamic libraries.
define TAPCOPY_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 \
		$(@D)/target/$(RUSTC_TARGET_NAME)/$(if $(BR2_ENABLE_DEBUG),debug,release)/tapcopy \
		$(TARGET_DIR)/usr/bin/tapcopy
endef

# cargo vendors at download time, which a local tree does not have: the crates
# are taken from the network at the first build.
define TAPCOPY_BUILD_CMDS
	cd $(@D) && \
	$(TARGET_MAKE_ENV) \
		$(TARGET_CONFIGURE_OPTS) \
		$(PKG_CARGO_ENV) \
		$(TAPCOPY_CARGO_ENV) \
		cargo build \
			$(if $(BR2_ENABLE_DEBUG),,--release) \
			--locked \
			$(TAPCOPY_CARGO_BUILD_OPTS)
endef

$(eval $(cargo-package))
