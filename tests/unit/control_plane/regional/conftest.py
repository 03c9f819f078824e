import pytest

from tests.unit.control_plane.regional.two_regions import World
from upriver_control.regional.planning import Pace
from upriver_control.store.database import open_database


@pytest.fixture
def world(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/control.db")
    yield World(database, Pace(least_lessons=30.0, wait_s=50.0, give_up_s=1000.0, again_s=500.0))
    database.close()
