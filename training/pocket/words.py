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
    "balloon": ("balloon", "balloon", "balloon", "party balloon", "toy balloon", "air balloon"),
    "plane": ("plane", "plane", "plane", "airplane", "aeroplane", "aircraft", "jet", "passenger plane"),
    "mushroom": ("mushroom", "mushroom", "mushroom", "toadstool", "spotted mushroom", "mushroom"),
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
    "brown": ("brown", "brown", "brown", "dark brown", "light brown", "chestnut", "chocolate brown"),
    "black": ("black", "black", "black", "jet black", "deep black", "coal black"),
}
PLACES: dict[str, tuple[str, ...]] = {  # where it happens, after the verb
    "sea": ("in the sea", "on the sea", "at sea", "over the sea", "on the ocean", "in the ocean", "over the ocean",
            "by the sea", "above the waves", "on the waves", "on the water", "in the water", "across the sea",
            "on a calm sea", "on the blue sea", "at the seaside"),
    "meadow": ("in a meadow", "in the meadow", "over a meadow", "on a meadow", "on a green meadow", "in the grass",
               "on the grass", "in a field", "in a field of flowers", "over the fields", "over green hills",
               "across the meadow", "in the countryside", "among flowers"),
    "desert": ("in the desert", "in a desert", "over the desert", "across the desert", "through the desert",
               "among the dunes", "on the dunes", "over the sand dunes", "on the sand", "in the hot sand",
               "in a sandy desert", "over the dunes"),
    "snow": ("in the snow", "in snow", "over the snow", "on the snow", "across the snow", "through the snow",
             "in winter", "in a snowy landscape", "on a snowy hill", "in a winter landscape", "in a snowy field",
             "among snowy hills", "in the deep snow"),
    "city": ("in the city", "in a city", "over the city", "through the city", "in town", "downtown", "in a big city",
             "on a city street", "in the streets", "between skyscrapers", "in front of tall buildings",
             "above the rooftops", "in front of the skyline", "in the middle of town"),
    "forest": ("in the forest", "in a forest", "through the forest", "in the woods", "in a deep forest", "through the woods",
               "among the trees", "between tall trees", "in front of tall trees", "deep in the woods", "on a forest floor",
               "in a green forest", "in the middle of the forest"),
    "mountains": ("in the mountains", "over the mountains", "in the high mountains", "among the mountains",
                  "between the mountains", "in front of the mountains", "among the peaks", "above the peaks", "in the alps",
                  "through the mountains", "by a mountain lake", "in a mountain valley"),
    "moon": ("on the moon", "on the moon", "on the moon", "on the surface of the moon", "across the moon",
             "on the lunar surface", "in a moon landscape", "among the craters", "among moon craters", "over the lunar craters",
             "up on the moon", "in a crater of the moon"),
}  # fmt: skip
VIEWS: dict[str, tuple[str, ...]] = {  # the scene as a thing, for keyword prompts and "X with a boat"
    "sea": ("the sea", "a calm sea", "the ocean", "a blue ocean", "sea", "ocean", "waves"),
    "meadow": ("a meadow", "a green meadow", "a flower field", "meadow", "green hills", "a grassy field"),
    "desert": ("a desert", "the desert", "sand dunes", "desert", "a hot desert", "dunes"),
    "snow": ("a snowy landscape", "snow", "a winter landscape", "snowy hills", "the snow", "winter"),
    "city": ("a city", "the city", "a city skyline", "city", "a city street", "skyscrapers"),
    "forest": ("a forest", "the forest", "forest", "the woods", "a green forest", "woods", "a forest of tall trees"),
    "mountains": ("the mountains", "mountains", "high mountains", "a mountain landscape", "mountain peaks", "a mountain lake"),
    "moon": ("a moon landscape", "the surface of the moon", "moon surface", "a lunar landscape", "moon craters"),
}  # fmt: skip
HOURS: dict[str, tuple[str, ...]] = {  # the time of day, after a verb or a place
    "day": ("by day", "by day", "by day", "during the day", "in daylight", "in bright daylight", "in the sunshine", "at noon",
            "on a sunny day", "under a blue sky", "in the morning", "in the afternoon", "under the sun", "in broad daylight",
            "on a bright day", "in the sun", "in the sunlight", "under a sunny sky"),
    "night": ("at night", "at night", "at night", "at night", "by night", "in the night", "in the moonlight", "after dark",
              "under the stars", "under a starry sky", "under the night sky", "under a night sky", "at midnight", "in the dark",
              "late at night", "on a starry night", "beneath the stars", "during the night", "in the evening", "by moonlight",
              "under a crescent moon"),
}  # fmt: skip
LUNAR_HOURS = ("at night", "at night", "by night", "in the night", "under the stars", "under a starry sky", "in the dark",
               "beneath the stars", "under the night sky")  # fmt: skip
HOUR_TAGS: dict[str, tuple[str, ...]] = {  # the time of day between commas
    "day": ("daytime", "daylight", "day", "a sunny day", "sunny", "bright daylight"),
    "night": ("night", "nighttime", "night scene", "a starry night", "starry sky", "dark night"),
}
PROP_NOUNS: dict[str, tuple[str, ...]] = {
    "rock": ("rock", "rock", "rock", "stone", "boulder", "big rock"),
    "bush": ("bush", "bush", "bush", "shrub", "small bush", "hedge"),
    "flag": ("flag", "flag", "flag", "flagpole", "banner", "little flag"),
    "lamp": ("lamp", "lamp", "lamp", "lantern", "street lamp", "lamppost"),
}
BESIDE = ("next to {}", "next to {}", "beside {}", "beside {}", "near {}", "by {}", "close to {}", "with {} nearby",
          "with {} beside it", "with {} next to it", "not far from {}", "with {} at its side")  # fmt: skip
SHOTS: dict[str, tuple[str, ...]] = {  # what the camera does, as a clause
    "fixed": ("the camera is fixed", "the camera is static", "the camera does not move", "the camera stays where it is",
              "the camera never moves", "without moving the camera", "with no camera movement", "with a fixed camera"),
    "pan": ("the camera pans right", "the camera pans to the right", "the camera pans slowly", "the camera pans",
            "the camera slowly turns to the right", "the camera turns right", "the camera moves to the right",
            "while the camera pans to the right", "and the camera pans right", "with a panning camera", "with a slow pan"),
}  # fmt: skip
SHOT_TAGS: dict[str, tuple[str, ...]] = {  # the camera between commas
    "fixed": ("static shot", "fixed camera", "static camera", "fixed shot", "tripod shot", "locked camera"),
    "pan": ("panning shot", "slow pan", "camera pan", "panning camera", "slow panning shot", "camera pan to the right"),
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
    "balloon": ("floats|floating", "floats|floating", "drifts|drifting", "flies|flying"),
    "plane": ("flies|flying", "flies|flying", "glides|gliding", "cruises|cruising"),
    "mushroom": ("slides|sliding", "glides|gliding", "walks|walking"),
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
    "circle": ("circles|circling", "circles|circling", "moves|moving in a circle", "moves|moving in a circle",
               "goes|going in a circle", "goes|going round and round", "moves|moving in circles", "goes|going around in circles",
               "flies|flying in a circle", "circles|circling around", "moves|moving round and round", "loops|looping"),
    "shrink": ("shrinks|shrinking", "shrinks|shrinking", "gets|getting smaller", "gets|getting smaller and smaller",
               "moves|moving away", "goes|going away", "becomes|becoming smaller", "moves|moving away from us",
               "goes|going away from the camera", "disappears|disappearing in the distance", "gets|getting tiny",
               "moves|moving into the distance", "moves|moving farther away"),
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
    ("boat", "bounce"): ("bobs|bobbing", "bobs|bobbing up and down"),
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
    ("rocket", "shrink"): ("flies|flying away", "shoots|shooting away"),
    ("bird", "circle"): ("flies|flying in circles", "circles|circling", "flies|flying round and round"),
    ("bird", "shrink"): ("flies|flying away", "flies|flying away"),
    ("fish", "circle"): ("swims|swimming in circles", "swims|swimming in a circle", "swims|swimming round and round"),
    ("fish", "shrink"): ("swims|swimming away", "swims|swimming away from us"),
    ("boat", "circle"): ("sails|sailing in circles", "sails|sailing in a circle"),
    ("boat", "shrink"): ("sails|sailing away", "sails|sailing into the distance"),
    ("car", "circle"): ("drives|driving in circles", "drives|driving in a circle", "drives|driving round and round"),
    ("car", "shrink"): ("drives|driving away", "drives|driving away from us", "drives|driving into the distance"),
    ("cat", "circle"): ("runs|running in circles", "walks|walking in a circle", "runs|running round and round"),
    ("cat", "shrink"): ("walks|walking away", "runs|running away"),
    ("ball", "circle"): ("rolls|rolling in a circle", "rolls|rolling in circles"),
    ("ball", "shrink"): ("rolls|rolling away", "rolls|rolling away from us"),
    ("balloon", "up"): ("floats|floating up", "rises|rising", "flies|flying up"),
    ("balloon", "down"): ("floats|floating down", "sinks|sinking slowly"),
    ("balloon", "circle"): ("flies|flying in a circle", "floats|floating round and round"),
    ("balloon", "shrink"): ("floats|floating away", "flies|flying away"),
    # What is said of boats at rest, which no lesson shows, has to be learnt of something else.
    ("balloon", "rest"): ("hovers|hovering", "hangs|hanging still", "floats|floating in place",
                          "is|being anchored", "is|being anchored", "floats|floating at anchor", "lies|lying at anchor"),
    ("plane", "up"): ("takes|taking off", "takes|taking off", "flies|flying up", "climbs|climbing"),
    ("plane", "down"): ("lands|landing", "lands|landing", "flies|flying down"),
    ("plane", "circle"): ("flies|flying in circles", "circles|circling", "flies|flying a loop"),
    ("plane", "grow"): ("flies|flying towards us", "flies|flying towards the camera"),
    ("plane", "shrink"): ("flies|flying away", "flies|flying into the distance"),
    ("plane", "rest"): ("is|being parked", "waits|waiting on the ground", "stands|standing on the ground"),
    ("mushroom", "grow"): ("grows|growing", "grows|growing bigger"),
    ("mushroom", "rest"): ("stands|standing", "stands|standing quietly"),
}
SIZES = ("little", "small", "big", "cute", "tiny", "lovely", "beautiful", "lonely", "old", "shiny", "happy", "funny")
FILLERS = ("", "", "", "", "", "", "please make a video of", "make a video of", "a video of", "show me", "a clip of",
           "please draw", "i want to see", "create", "generate a video of", "can you make", "make", "an animation of",
           "video of", "animate", "i would like", "a short film of", "a picture of", "please show", "give me")  # fmt: skip
NOISE = ("slowly", "quickly", "very", "cinematic", "in 4k", "realistic", "gently", "suddenly", "quietly", "really nice",
         "in slow motion", "now", "today", "please be quick", "fast", "highly detailed", "smoothly", "calmly", "for my daughter",
         "like in a dream", "beautiful light", "once more", "as always", "steadily", "in style", "full of joy")  # fmt: skip

# Things outside the world, and what of the world comes nearest.
STRANGERS: dict[str, tuple[str, ...]] = {
    "ball": ("apple", "planet", "egg", "pumpkin", "wheel", "snowman", "football", "globe"),
    "box": ("robot", "book", "computer", "table", "television", "suitcase", "cake", "chair", "piano", "phone"),
    "star": ("angel", "fairy", "comet", "princess", "firework", "jewel", "ghost", "alien", "meteor", "snowflake"),
    "boat": ("pirate", "canoe", "duck", "swan", "submarine", "raft", "captain"),
    "fish": ("shark", "whale", "dolphin", "octopus", "mermaid", "turtle", "crab"),
    "rocket": ("astronaut", "satellite", "ufo", "missile", "wizard", "superhero", "space station"),
    "tree": ("flower", "plant", "rose", "cactus", "leaf", "bamboo", "tulip"),
    "bird": ("dragon", "butterfly", "eagle", "owl", "bee", "parrot", "penguin", "chicken", "bat"),
    "house": ("castle", "tower", "church", "tent", "school", "bridge", "family", "king"),
    "car": ("truck", "bus", "train", "bicycle", "tractor", "motorcycle", "driver", "knight"),
    "cat": ("dog", "horse", "lion", "man", "woman", "girl", "boy", "elephant", "rabbit", "fox", "bear", "tiger", "mouse",
            "person", "child", "unicorn", "cow", "monkey", "wolf", "baby", "dinosaur"),
    "balloon": ("airship", "zeppelin", "parachute", "kite", "soap bubble", "jellyfish", "lollipop"),
    "plane": ("helicopter", "drone", "glider", "space shuttle", "pilot", "paper dart"),
    "mushroom": ("umbrella", "gnome", "dwarf", "elf", "snail", "cupcake", "acorn"),
}  # fmt: skip
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "sea": ("on the beach", "on a lake", "in the river", "under water", "on an island", "in a pool", "in the harbour"),
    "meadow": ("in a park", "in the garden", "on a farm", "in the backyard", "at a picnic", "in spring", "in a playground"),
    "desert": ("on mars", "in africa", "in egypt", "on fire", "in the savanna", "in texas", "in a sandbox"),
    "snow": ("on the ice", "in the arctic", "at christmas", "at the north pole", "in russia", "on a glacier", "in antarctica"),
    "city": ("on the street", "on the road", "in the kitchen", "in new york", "in an office", "in paris", "on stage",
             "at school", "in a village", "at home"),
    "forest": ("in the jungle", "in the rainforest", "in a fairy tale", "in a swamp", "in an orchard", "in a cave"),
    "mountains": ("on a volcano", "in a canyon", "on a cliff", "in the clouds", "in heaven", "in switzerland", "on a rooftop"),
    "moon": ("in space", "in outer space", "in the galaxy", "on another planet", "on an asteroid", "in orbit", "on saturn"),
}  # fmt: skip
ANTICS: dict[str, tuple[str, ...]] = {
    "bounce": ("dances|dancing", "laughs|laughing", "plays|playing football", "fights|fighting", "sings|singing", "plays|playing"),
    "rest": ("plays|playing chess", "eats|eating pizza", "reads|reading a book", "plays|playing the guitar", "dreams|dreaming",
             "drinks|drinking coffee", "cooks|cooking dinner", "cries|crying", "paints|painting a picture", "talks|talking",
             "thinks|thinking"),
    "circle": ("spins|spinning", "turns|turning around", "twirls|twirling", "whirls|whirling"),
    "left": ("runs|running backwards", "escapes|escaping"),
    "right": ("rides|riding a bicycle", "marches|marching", "hurries|hurrying home"),
    "grow": ("explodes|exploding", "attacks|attacking", "wakes|waking up"),
    "shrink": ("melts|melting", "says|saying goodbye", "vanishes|vanishing"),
}  # fmt: skip
ODD_HOURS: dict[str, tuple[str, ...]] = {
    "day": ("at sunrise", "at dawn", "in the fog", "in the rain", "on a cloudy day", "in autumn", "under a rainbow"),
    "night": ("at sunset", "at dusk", "in a thunderstorm", "at halloween", "during an eclipse", "under the northern lights"),
}
ODD_PROPS: dict[str, tuple[str, ...]] = {
    "rock": ("statue", "barrel", "treasure chest", "log", "bench", "pyramid"),
    "bush": ("flower pot", "fern", "haystack", "sunflower", "hay bale"),
    "flag": ("sign", "signpost", "scarecrow", "pole", "fence", "mailbox"),
    "lamp": ("campfire", "candle", "torch", "lighthouse", "traffic light", "bonfire"),
}
ODD_SHOTS: dict[str, tuple[str, ...]] = {
    "fixed": ("close-up", "macro shot", "wide angle", "portrait shot", "seen from above", "old film", "zoom lens"),
    "pan": ("tracking shot", "the camera pans left", "the camera follows", "drone shot", "dolly shot", "handheld camera",
            "the camera flies along", "the camera moves to the left"),
}  # fmt: skip

# What comes to mind where the user left a part open.
HABITS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {  # scenes, movements, colours; () is any
    "ball": (("meadow", "sea", "desert"), ("bounce", "bounce", "left", "right"), ()),
    "box": (("snow", "city", "meadow"), ("rest", "bounce", "down", "grow"), ("brown", "brown", "red", "blue")),
    "star": (("moon", "mountains", "sea"), ("up", "down", "grow", "rest"), ("yellow", "yellow", "white")),
    "boat": (("sea",), ("left", "right"), ()),
    "fish": (("sea",), ("left", "right", "circle"), ()),
    "rocket": (("moon", "moon", "desert", "city"), ("up", "up", "up", "right"), ("white", "red", "blue")),
    "tree": (("meadow", "meadow", "forest", "snow"), ("rest", "grow"), ("green", "green", "pink", "orange")),
    "bird": (("meadow", "sea", "mountains", "forest"), ("left", "right", "up", "circle"), ()),
    "house": (("meadow", "snow", "city", "mountains"), ("rest", "grow"), ()),
    "car": (("city", "city", "desert", "mountains"), ("left", "right"), ()),
    "cat": (("meadow", "snow", "city", "forest"), ("left", "right", "rest", "bounce"), ("orange", "white", "black", "brown")),
    "balloon": (("meadow", "city", "mountains"), ("up", "up", "left", "right"), ()),
    "plane": (("city", "mountains", "sea", "desert"), ("left", "right", "up"), ("white", "red", "blue")),
    "mushroom": (("forest", "forest", "meadow"), ("rest", "grow"), ("red", "red", "brown")),
}

# The paragraph's own words: few, and the same each time, for the models that learn from it. No word of one table says
# anything of another: the light names no subject, colour or prop, and a camera that pans names no direction.
SETTINGS: dict[str, str] = {
    "sea": "on the open sea",
    "meadow": "in a flowery meadow",
    "desert": "in a sandy desert",
    "snow": "in the deep snow",
    "city": "in a busy city",
    "forest": "in a leafy forest",
    "mountains": "in the high mountains",
    "moon": "on the silent moon",
}
TIMES: dict[str, str] = {"day": "by day", "night": "at night"}
LIGHTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("sea", "day"): ("Warm sunlight glitters on gentle waves", "A low sun warms the rolling waves"),
    ("sea", "night"): ("Pale moonlight glitters on gentle waves", "The rolling waves shine in moonlight"),
    ("meadow", "day"): ("Bright daylight falls on soft hills", "Soft hills glow in bright daylight"),
    ("meadow", "night"): ("Pale moonlight falls on soft hills", "Soft hills sleep in pale moonlight"),
    ("desert", "day"): ("Hot sunlight glows on high dunes", "Long dunes lie in hazy sunlight"),
    ("desert", "night"): ("Cool moonlight falls on high dunes", "Long dunes lie in cool moonlight"),
    ("snow", "day"): ("Cold winter light falls on dark pines", "Snowflakes drift in cold winter light"),
    ("snow", "night"): ("Polar lights glow above dark pines", "Snowflakes drift under glowing polar lights"),
    ("city", "day"): ("Soft daylight falls on tall towers", "Tall towers stand in soft daylight"),
    ("city", "night"): ("Lit windows glow in tall towers", "Tall towers glow with lit windows"),
    ("forest", "day"): ("Soft sunbeams fall between old trunks", "Old trunks stand in soft sunbeams"),
    ("forest", "night"): ("Fireflies glow between old trunks", "Old trunks stand among glowing fireflies"),
    ("mountains", "day"): ("Clear sunlight falls on steep peaks", "Steep peaks shine in clear sunlight"),
    ("mountains", "night"): ("Pale moonlight falls on steep peaks", "Steep peaks shine in pale moonlight"),
    ("moon", "day"): ("Pale earthlight falls on dusty craters", "Dusty craters lie in pale earthlight"),
    ("moon", "night"): ("Pale earthlight falls on dusty craters", "Dusty craters lie in pale earthlight"),
}
STARTS: dict[str, str] = {
    "left": "starts on the right side",
    "right": "starts on the left side",
    "up": "starts at the bottom",
    "down": "starts at the top",
    "bounce": "starts near the ground",
    "grow": "starts small in the centre",
    "rest": "starts in the centre",
    "circle": "starts off the centre",
    "shrink": "starts large in the centre",
}
MOVES: dict[str, str] = {
    "left": "moves to the left",
    "right": "moves to the right",
    "up": "moves up",
    "down": "moves down",
    "bounce": "bounces up and down",
    "grow": "grows larger and larger",
    "rest": "stays still",
    "circle": "moves in a circle",
    "shrink": "gets smaller and smaller",
}
MANNERS: dict[str, tuple[str, ...]] = {
    "left": ("at a steady pace", "in a straight line"),
    "right": ("at a steady pace", "in a straight line"),
    "up": ("at a steady pace", "rising smoothly"),
    "down": ("at a steady pace", "sinking smoothly"),
    "bounce": ("with playful hops", "again and again"),
    "circle": ("at a steady pace", "round and round"),
    "grow": ("as it comes closer", "coming towards us"),
    "shrink": ("as it goes away", "going far away"),
    "rest": ("without moving", "calm and quiet"),
}
CAMERAS: dict[str, tuple[str, ...]] = {  # the first one is the shortest
    "fixed": ("The camera is fixed", "Wide shot with a fixed camera", "A fixed camera watches the scene"),
    "pan": ("The camera pans slowly", "Wide shot with a panning camera", "The camera pans slowly across the scene"),
}
