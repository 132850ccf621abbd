"""The words of the toy world: what users may call things, and what a paragraph calls them.

Knows: tables of words. Must not know: how they are put together (text.py) or drawn (world.py).
A verb is written "sails|sailing": what it does, and what it is doing; words after a space follow either form.
"""

from __future__ import annotations

NOUNS: dict[str, tuple[str, ...]] = {
    "ball": ("ball", "ball", "ball", "beach ball", "rubber ball", "toy ball"),
    "box": ("box", "box", "box", "gift box", "present", "gift", "parcel", "package"),
    "star": ("star", "star", "star", "smiling star", "toy star"),
    "boat": ("boat", "boat", "boat", "sailboat", "ship", "sailing boat", "yacht", "sailing ship"),
    "fish": ("fish", "fish", "fish", "tropical fish", "goldfish"),
    "rocket": ("rocket", "rocket", "rocket", "spaceship", "rocket ship", "space rocket", "spacecraft"),
    "tree": ("tree", "tree", "tree", "round tree", "apple tree", "oak"),
    "bird": ("bird", "bird", "bird", "songbird", "dove", "sparrow", "seagull"),
    "house": ("house", "house", "house", "cottage", "home", "cabin", "hut"),
    "car": ("car", "car", "car", "automobile", "sports car", "vehicle", "taxi"),
    "cat": ("cat", "cat", "cat", "kitten", "kitty", "cat"),
}
SHADES: dict[str, tuple[str, ...]] = {
    "red": ("red", "red", "red", "bright red", "dark red", "crimson", "scarlet"),
    "orange": ("orange", "orange", "orange", "bright orange", "dark orange", "tangerine"),
    "yellow": ("yellow", "yellow", "yellow", "bright yellow", "golden", "gold", "lemon yellow"),
    "green": ("green", "green", "green", "bright green", "dark green", "emerald", "lime green"),
    "blue": ("blue", "blue", "blue", "bright blue", "dark blue", "light blue", "navy", "azure"),
    "purple": ("purple", "purple", "purple", "dark purple", "violet", "lilac", "lavender"),
    "pink": ("pink", "pink", "pink", "bright pink", "hot pink", "rosy", "light pink"),
    "white": ("white", "white", "white", "pure white", "bright white", "snow-white"),
}
PLACES: dict[str, tuple[str, ...]] = {  # where it happens, after the verb
    "sea": ("in the sea", "on the sea", "at sea", "over the sea", "on the ocean", "in the ocean", "over the ocean",
            "by the sea", "above the waves", "on the waves", "on the water", "in the water", "across the sea",
            "on a calm sea", "on the blue sea", "at the seaside"),
    "meadow": ("in a meadow", "in the meadow", "over a meadow", "on a meadow", "on a green meadow", "in the grass",
               "on the grass", "in a field", "in a field of flowers", "over the fields", "over green hills",
               "across the meadow", "in the countryside", "among flowers"),
    "night sky": ("under a night sky", "in the night sky", "under the night sky", "at night", "in the night",
                  "under the stars", "under the moon", "in the moonlight", "in the starry sky", "on a starry night",
                  "beneath the moon and stars", "against the night sky", "across the night sky", "by night"),
    "desert": ("in the desert", "in a desert", "over the desert", "across the desert", "through the desert",
               "among the dunes", "on the dunes", "over the sand dunes", "on the sand", "in the hot sand",
               "in a sandy desert", "over the dunes"),
    "snow": ("in the snow", "in snow", "over the snow", "on the snow", "across the snow", "through the snow",
             "in winter", "in a snowy landscape", "on a snowy hill", "in a winter landscape", "in the snowy mountains",
             "among snowy hills", "on a snowy day"),
    "city": ("in the city", "in a city", "over the city", "through the city", "in town", "downtown", "in a big city",
             "on a city street", "in the streets", "between skyscrapers", "in front of tall buildings",
             "above the rooftops", "in the city at dusk", "in the evening city"),
}  # fmt: skip
VIEWS: dict[str, tuple[str, ...]] = {  # the scene as a thing, for keyword prompts and "X with a boat"
    "sea": ("the sea", "a calm sea", "the ocean", "a blue ocean", "sea", "ocean", "waves"),
    "meadow": ("a meadow", "a green meadow", "a flower field", "meadow", "green hills", "a grassy field"),
    "night sky": ("a night sky", "the night sky", "a starry night", "night sky", "a moonlit night", "night"),
    "desert": ("a desert", "the desert", "sand dunes", "desert", "a hot desert", "dunes"),
    "snow": ("a snowy landscape", "snow", "a winter landscape", "snowy hills", "the snow", "winter"),
    "city": ("a city", "the city", "a city skyline", "city", "a city street", "skyscrapers"),
}
SIDEWAYS: dict[str, tuple[str, ...]] = {  # how a subject gets along; its direction is added, or left open
    "ball": ("rolls|rolling", "rolls|rolling"),
    "box": ("slides|sliding", "glides|gliding"),
    "star": ("glides|gliding", "flies|flying", "shoots|shooting"),
    "boat": ("sails|sailing", "sails|sailing", "floats|floating", "drifts|drifting", "cruises|cruising"),
    "fish": ("swims|swimming", "swims|swimming", "glides|gliding"),
    "rocket": ("flies|flying", "shoots|shooting", "zooms|zooming", "races|racing"),
    "tree": ("slides|sliding", "glides|gliding", "walks|walking"),
    "bird": ("flies|flying", "flies|flying", "soars|soaring", "glides|gliding"),
    "house": ("slides|sliding", "glides|gliding"),
    "car": ("drives|driving", "drives|driving", "rolls|rolling", "races|racing", "speeds|speeding"),
    "cat": ("walks|walking", "runs|running", "strolls|strolling", "sneaks|sneaking"),
}
ANY_SIDEWAYS = ("moves|moving", "goes|going", "travels|travelling", "heads|heading", "passes|passing", "drifts|drifting")
WAYS: dict[str, tuple[str, ...]] = {
    "left": ("to the left", "to the left", "left", "leftwards", "towards the left", "from right to left", "toward the left side"),
    "right": ("to the right", "to the right", "right", "rightwards", "towards the right", "from left to right",
              "toward the right side"),
}  # fmt: skip
VERBS: dict[str, tuple[str, ...]] = {
    "up": ("rises|rising", "rises|rising", "climbs|climbing", "moves|moving up", "goes|going up", "floats|floating up",
           "ascends|ascending", "moves|moving upwards", "climbs|climbing up", "rises|rising up", "lifts|lifting off",
           "rises|rising into the air", "heads|heading upwards", "goes|going upward", "takes|taking off"),
    "down": ("falls|falling", "falls|falling", "sinks|sinking", "descends|descending", "moves|moving down",
             "goes|going down", "comes|coming down", "drops|dropping", "floats|floating down", "falls|falling down",
             "moves|moving downwards", "sinks|sinking down", "drops|dropping down", "heads|heading downward"),
    "bounce": ("bounces|bouncing", "bounces|bouncing", "jumps|jumping", "hops|hopping", "bounces|bouncing up and down",
               "jumps|jumping up and down", "hops|hopping up and down", "leaps|leaping", "bobs|bobbing up and down",
               "jumps|jumping around", "hops|hopping in place"),
    "grow": ("grows|growing", "grows|growing", "gets|getting bigger", "comes|coming closer", "becomes|becoming larger",
             "gets|getting larger", "approaches|approaching", "grows|growing bigger", "comes|coming towards us",
             "comes|coming towards the camera", "grows|growing larger", "gets|getting closer", "approaches|approaching us"),
    "rest": ("stands|standing still", "rests|resting", "stays|staying still", "sits|sitting", "waits|waiting",
             "stands|standing", "sits|sitting still", "stays|staying in place", "rests|resting quietly",
             "remains|remaining motionless", "holds|holding still", "stays|staying put"),
}  # fmt: skip
OWN_VERBS: dict[tuple[str, str], tuple[str, ...]] = {
    ("rocket", "up"): ("takes|taking off", "blasts|blasting off", "launches|launching", "flies|flying up", "lifts|lifting off"),
    ("rocket", "down"): ("lands|landing", "lands|landing", "comes|coming in to land"),
    ("rocket", "rest"): ("stands|standing on the ground", "waits|waiting for launch"),
    ("bird", "up"): ("flies|flying up", "flies|flying upwards", "takes|taking off", "soars|soaring up"),
    ("bird", "down"): ("lands|landing", "flies|flying down", "swoops|swooping down"),
    ("bird", "rest"): ("sits|sitting", "perches|perching"),
    ("fish", "up"): ("swims|swimming up", "swims|swimming upwards"),
    ("fish", "down"): ("swims|swimming down", "dives|diving", "dives|diving down"),
    ("fish", "bounce"): ("leaps|leaping", "jumps|jumping out of the water"),
    ("boat", "down"): ("sinks|sinking", "sinks|sinking"),
    ("boat", "rest"): ("lies|lying at anchor", "is|being anchored", "floats|floating in place"),
    ("boat", "bounce"): ("bobs|bobbing", "rocks|rocking up and down"),
    ("car", "rest"): ("is|being parked", "parks|parking", "stands|standing parked"),
    ("car", "grow"): ("drives|driving towards us", "drives|driving towards the camera"),
    ("cat", "rest"): ("sits|sitting", "sleeps|sleeping", "lies|lying still"),
    ("cat", "bounce"): ("jumps|jumping", "hops|hopping", "pounces|pouncing"),
    ("cat", "grow"): ("walks|walking towards us", "walks|walking towards the camera"),
    ("ball", "bounce"): ("bounces|bouncing", "bounces|bouncing", "bounces|bouncing up and down"),
    ("ball", "rest"): ("lies|lying still", "lies|lying"),
    ("star", "up"): ("rises|rising", "floats|floating up"),
    ("star", "down"): ("falls|falling", "sinks|sinking"),
    ("star", "rest"): ("hangs|hanging still", "shines|shining without moving"),
    ("tree", "rest"): ("stands|standing", "stands|standing quietly"),
    ("house", "rest"): ("stands|standing", "stands|standing quietly"),
}
SIZES = ("little", "small", "big", "cute", "tiny", "lovely", "beautiful", "lonely", "old", "shiny", "happy", "funny")
FILLERS = ("", "", "", "", "", "", "please make a video of", "make a video of", "a video of", "show me", "a clip of",
           "please draw", "i want to see", "create", "generate a video of", "can you make", "make", "an animation of",
           "video of", "animate", "i would like", "a short film of", "a picture of", "please show", "give me")  # fmt: skip
NOISE = ("slowly", "quickly", "very", "cinematic", "in 4k", "realistic", "gently", "suddenly", "quietly", "really nice",
         "in slow motion", "now", "today", "all alone", "fast", "highly detailed", "smoothly", "calmly", "for my daughter",
         "like in a dream", "beautiful light", "once more", "as always", "steadily", "in style", "full of joy")  # fmt: skip

# Things outside the world, and what of the world comes nearest.
STRANGERS: dict[str, tuple[str, ...]] = {
    "ball": ("balloon", "apple", "planet", "egg", "pumpkin", "wheel", "snowman", "football"),
    "box": ("robot", "book", "computer", "table", "television", "suitcase", "cake", "chair", "piano", "phone"),
    "star": ("sun", "moon", "angel", "fairy", "comet", "princess", "firework", "lamp", "jewel", "ghost", "alien"),
    "boat": ("pirate", "canoe", "duck", "swan", "submarine", "raft", "captain"),
    "fish": ("shark", "whale", "dolphin", "octopus", "mermaid", "turtle", "crab"),
    "rocket": ("astronaut", "satellite", "ufo", "missile", "wizard", "plane", "airplane", "superhero"),
    "tree": ("flower", "plant", "bush", "rose", "cactus", "mushroom", "forest", "leaf"),
    "bird": ("dragon", "butterfly", "eagle", "owl", "bee", "helicopter", "parrot", "penguin", "chicken", "bat"),
    "house": ("castle", "tower", "church", "tent", "school", "bridge", "family", "king"),
    "car": ("truck", "bus", "train", "bicycle", "tractor", "motorcycle", "driver", "knight"),
    "cat": ("dog", "horse", "lion", "man", "woman", "girl", "boy", "elephant", "rabbit", "fox", "bear", "tiger", "mouse",
            "person", "child", "unicorn", "cow", "monkey", "wolf", "baby", "dinosaur"),
}  # fmt: skip
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "sea": ("on the beach", "on a lake", "in the river", "under water", "on an island", "in the rain", "in a pool"),
    "meadow": ("in the forest", "in a park", "in the garden", "on a farm", "in the jungle", "at home", "in spring"),
    "night sky": ("on the moon", "in space", "in a dream", "in the galaxy", "in a dark cave", "in the clouds", "in heaven"),
    "desert": ("on mars", "in a canyon", "in africa", "in egypt", "on fire", "in summer", "on a volcano"),
    "snow": ("in the mountains", "on the ice", "in the arctic", "at christmas", "at the north pole", "in russia"),
    "city": ("on the street", "on the road", "in the kitchen", "in new york", "in an office", "in paris", "on stage",
             "at school", "in a village"),
}  # fmt: skip
ANTICS = ("plays|playing chess", "eats|eating pizza", "dances|dancing", "sleeps|sleeping", "fights|fighting", "sings|singing",
          "reads|reading a book", "plays|playing the guitar", "drinks|drinking coffee", "cooks|cooking dinner",
          "laughs|laughing", "explodes|exploding", "looks|looking at the camera", "cries|crying", "plays|playing football",
          "spins|spinning", "paints|painting a picture", "talks|talking", "rides|riding a bicycle", "dreams|dreaming")  # fmt: skip

# What comes to mind where the user left a part open.
HABITS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {  # scenes, movements, colours; () is any
    "ball": (("meadow", "sea", "desert"), ("bounce", "bounce", "left", "right"), ()),
    "box": (("snow", "city", "meadow"), ("rest", "bounce", "down", "grow"), ()),
    "star": (("night sky", "night sky", "sea"), ("up", "down", "grow", "rest"), ("yellow", "yellow", "white")),
    "boat": (("sea",), ("left", "right"), ()),
    "fish": (("sea",), ("left", "right"), ()),
    "rocket": (("night sky", "desert", "city"), ("up",), ()),
    "tree": (("meadow", "snow"), ("rest", "grow"), ("green", "green", "pink", "orange")),
    "bird": (("meadow", "sea", "snow", "city"), ("left", "right", "up"), ()),
    "house": (("meadow", "snow", "city"), ("rest", "grow"), ()),
    "car": (("city", "desert", "snow"), ("left", "right"), ()),
    "cat": (("meadow", "snow", "city"), ("left", "right", "rest", "bounce"), ("orange", "white", "pink", "purple")),
}

# The paragraph's own words: few, and the same each time, for the models that learn from it.
SETTINGS: dict[str, str] = {
    "sea": "on the open sea",
    "meadow": "in a flowery meadow",
    "night sky": "under a night sky",
    "desert": "in a sandy desert",
    "snow": "in the deep snow",
    "city": "in a busy city",
}
LIGHTS: dict[str, tuple[str, ...]] = {
    "sea": ("Warm sunlight glitters on gentle waves", "A low sun warms the rolling waves", "Gentle waves shine in warm sunlight"),
    "meadow": ("Bright daylight falls on soft hills and small flowers", "Fluffy clouds drift in clear daylight",
               "Soft hills glow in bright daylight"),
    "night sky": ("Pale moonlight falls on dark hills", "A crescent moon gives pale light", "Pale moonlight glows in the dark"),
    "desert": ("A hazy sun shines on high dunes", "Hot sunlight glows on soft dunes", "Long dunes lie in hazy sunlight"),
    "snow": ("Cold winter light falls on dark pines", "Snowflakes drift in cold winter light", "Dark pines stand in cold winter light"),
    "city": ("Lit windows glow in the evening light", "Tall towers glow at dusk", "Evening light falls on tall towers"),
}  # fmt: skip
BRIEF_LIGHT = {"sea": "sunlight", "meadow": "daylight", "night sky": "moonlight", "desert": "hot sunlight",
               "snow": "winter light", "city": "evening light"}  # fmt: skip
STARTS: dict[str, str] = {
    "left": "starts on the right side",
    "right": "starts on the left side",
    "up": "starts at the bottom",
    "down": "starts at the top",
    "bounce": "starts near the ground",
    "grow": "starts small in the centre",
    "rest": "starts in the centre",
}
MOVES: dict[str, str] = {
    "left": "moves to the left",
    "right": "moves to the right",
    "up": "moves up",
    "down": "moves down",
    "bounce": "bounces up and down",
    "grow": "grows larger and larger",
    "rest": "stays still",
}
MANNERS: dict[str, tuple[str, ...]] = {
    "left": ("at a steady pace", "in a straight line", "smoothly"),
    "right": ("at a steady pace", "in a straight line", "smoothly"),
    "up": ("at a steady pace", "rising smoothly", "climbing high"),
    "down": ("at a steady pace", "sinking smoothly", "coming lower"),
    "bounce": ("with playful hops", "again and again", "in the same spot"),
    "grow": ("as it comes closer", "coming towards the camera", "until it fills the view"),
    "rest": ("without moving", "calm and quiet", "in the same spot"),
}
CAMERAS = ("The camera is fixed", "The camera holds a wide shot", "A fixed camera watches", "Wide shot, fixed camera",
           "The fixed camera keeps everything in view")  # fmt: skip
