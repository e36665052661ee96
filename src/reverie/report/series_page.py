def build(data, card):
    return ""
