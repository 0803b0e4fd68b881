include $(sort $(wildcard $(BR2_EXTERNAL_TAPCOPY_PATH)/package/*/*.mk))
